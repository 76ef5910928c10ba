"""What shells complete for the board's programs: every option, and what each of them takes."""

from __future__ import annotations

import re

import pytest

from bpu_board.cli import agent
from bpu_board.cli.hrt_model_exec import options as exec_options
from bpu_board.cli.hrt_model_exec.options import OPTIONS
from bpu_common.completion import variable


def ask(monkeypatch: pytest.MonkeyPatch, shell: str, line: str, at: str) -> list[str]:
    """The lines that a shell gets for a line of one of the programs."""
    program = line.split()[0]
    monkeypatch.setenv(variable(program), f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", at)
    module = agent if program == "bpu-agent" else exec_options
    return module.completions().splitlines()


def test_every_option_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, "bash", "hrt_model_exec perf --", "2")
    assert {f"plain,--{option.name}" for option in OPTIONS} < set(found)
    found = ask(monkeypatch, "bash", "bpu-agent ", "1")
    shown = re.findall(r"^  (?:-\w, )?(--\w+)", agent.make_parser().format_help(), re.MULTILINE)
    assert [f"plain,{name}" for name in shown] == found


def test_files_and_folders_are_left_to_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, "bash", "hrt_model_exec infer --model_file m", "3") == ["file,m"]
    assert ask(monkeypatch, "bash", "hrt_model_exec infer --input_file =", "3") == ["file,"]
    assert ask(monkeypatch, "fish", "hrt_model_exec perf --profile_path o", "o") == ["dir,o"]
    assert ask(monkeypatch, "bash", "bpu-agent --store ", "2") == ["dir,"]


def test_the_forms_of_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "hrt_model_exec infer --dump_format t"
    assert ask(monkeypatch, "bash", line, "3") == ["plain,txt"]
    assert ask(monkeypatch, "zsh", line, "3") == ["plain", "txt", "_"]
    assert ask(monkeypatch, "fish", line, "t") == ["plain,txt"]
    assert ask(monkeypatch, "fish", "hrt_model_exec ", "") == [
        "plain,model_info",
        "plain,infer",
        "plain,perf",
    ]


def test_a_value_in_the_same_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """zsh and fish leave `--name=value` one word."""
    line = "hrt_model_exec infer --dump_format=b"
    assert ask(monkeypatch, "zsh", line, "2") == ["plain", "--dump_format=bin", "_"]


@pytest.mark.parametrize("line", ["hrt_model_exec 'unended", "hrt_model_exec infer --model_name x"])
def test_nothing_to_say_is_no_error(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    assert ask(monkeypatch, "bash", line, str(len(line.split()) - 1)) == []
