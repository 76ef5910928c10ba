"""What people see on a terminal: colours, questions, completion."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from bpu_common import container
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.cli.bpu import bpu, main
from bpu_host.cli.colours import coloured
from bpu_host.cli.completing import SHELLS
from bpu_host.cli.mapper_log import logger, logging_to
from tests.support.agent_remote import Agent
from tests.support.models_board import tiny_model


class Terminal(io.StringIO):
    """A stream that people see."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """An inventory of its own, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("BPU_BOARD", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Inventory()


def test_colours_only_where_they_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured("error:", "error", Terminal()) == "\x1b[1;31merror:\x1b[0m"
    assert coloured("error:", "error", io.StringIO()) == "error:"
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in coloured("error:", "error", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("error:", "error", Terminal()) == "error:"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert coloured("error:", "error", Terminal()) == "error:"


def test_errors_are_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["models", "--board", "nonsense"]) == 2
    assert screen.getvalue().startswith("\x1b[1;31merror:\x1b[0m ")


def test_levels_of_the_log_have_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(screen: io.StringIO) -> list[str]:
        with logging_to(tmp_path / "mapper.log", screen):
            for level in (logging.INFO, logging.WARNING, logging.ERROR):
                logger.log(level, "it is so")
        return [line.split(" ", 2)[2] for line in screen.getvalue().splitlines()[1:]]

    assert shown(Terminal()) == [
        "INFO it is so",
        "\x1b[33mWARNING\x1b[0m it is so",
        "\x1b[1;31mERROR\x1b[0m it is so",
    ]
    plain = ["INFO it is so", "WARNING it is so", "ERROR it is so"]
    assert shown(io.StringIO()) == plain
    assert "\x1b" not in (tmp_path / "mapper.log").read_text()
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(Terminal()) == plain


@pytest.mark.parametrize("board", ["kitchn", "unix:/nowhere/agent.sock", "desk:wrong"])
def test_a_board_of_the_environment_is_told(
    board: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--board", board]) != 0
    assert "BPU_BOARD" not in capsys.readouterr().err
    monkeypatch.setenv("BPU_BOARD", board)
    assert main(["models"]) != 0
    told = capsys.readouterr().err
    assert board in told
    assert "the board is that of BPU_BOARD" in told


def completions(*words: str, incomplete: str = "") -> list[str]:
    found = ShellComplete(bpu, {}, "bpu", "_BPU_COMPLETE").get_completions(list(words), incomplete)
    return [each.value for each in found]


def test_commands_and_boards_are_completed(boards: Inventory) -> None:
    assert "deploy" in completions(incomplete="de")
    assert completions("perf", "--board", incomplete="d") == []
    boards.put(BoardEntry("desk", "desk.local"))
    boards.put(BoardEntry("rack", "rack.local"))
    assert completions("perf", "--board", incomplete="d") == ["desk"]
    assert completions("boards", "status") == ["desk", "rack"]
    assert completions("run", "net") == [""]  # the shell completes files


def test_models_are_completed_by_asking_the_board(
    boards: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Agent(tmp_path) as agent:
        (tmp_path / "tiny.bin").write_bytes(container.dump([tiny_model(), tiny_model("other")]))
        assert main(["deploy", str(tmp_path / "tiny.bin"), "--board", agent.address]) == 0
        assert completions("perf", "--board", agent.address, incomplete="t") == ["tiny"]
        monkeypatch.setenv("BPU_BOARD", agent.address)
        assert sorted(completions("perf")) == ["other", "tiny"]
        address = agent.address
    assert completions("perf", "--board", address) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    for program in ("BPU", "BPUD", "HB_MAPPER", "HRT_MODEL_EXEC", "BPU_AGENT"):
        assert f"_{program}_COMPLETE" in shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bpu de", "deploy"),
        ("hb_mapper ma", "makertbin"),
        ("hrt_model_exec in", "infer"),
        ("hrt_model_exec perf --thr", "--thread_num"),
        ("hrt_model_exec infer --dump_format t", "txt"),
        ("hrt_model_exec infer --dump_format = b", "bin"),  # bash's words of --dump_format=b
        ("hrt_model_exec infer --machine x", "x3m x3e"),
        ("hrt_model_exec infer --model_file m", ""),  # the shell completes files
        ("bpu-agent --cl", "--clock"),
        ("bpu-agent --clock p", "paced"),
        ("bpu-agent --store s", ""),
    ],
)
def test_bash_takes_the_script(line: str, expected: str) -> None:
    """bash itself: what it would run for the line and <Tab>."""
    words = line.split()
    function = f"_{words[0].replace('-', '_')}_completion"
    lines = [
        'eval "$(bpu completion bash)"',
        "compopt() { :; }  # of a completion that bash itself called",
        f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}",
        f"{function} {words[0]}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    ]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        env={"PATH": path},
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == expected.split()
    assert done.stderr == ""


def test_no_boards_in_one_sentence(boards: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "list"]) == 0
    listed = capsys.readouterr().out
    assert main(["boards", "status"]) == 0
    assert capsys.readouterr().out == listed
    assert "bpu boards add" in listed


@pytest.mark.parametrize(("answer", "status"), [("n\n", 130), ("y\n", 0)])
def test_remove_asks_on_a_terminal(
    boards: Inventory, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    boards.put(BoardEntry("desk", "desk.local", address="127.0.0.1:50551"))
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["boards", "remove", "desk"]) == status
    assert (boards.find("desk") is None) == (status == 0)


def test_remove_asks_nobody_in_a_script(boards: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, stdin in (
        (["remove", "desk"], io.StringIO()),
        (["remove", "desk", "--yes"], Terminal()),
    ):
        boards.put(BoardEntry("desk", "desk.local", address="127.0.0.1:50551"))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["boards", *arguments]) == 0
        assert boards.find("desk") is None
