"""`bpu top` as users meet it: options, lines of JSON, the demo board."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bpu_common import container
from bpu_common.telemetry.lines import Recorder, read_frames
from bpu_host.cli.bpu import main
from bpu_host.tui.demo import RECIPES, cache_folder
from bpu_host.tui.demo_net import network
from tests.support.agent_remote import Agent
from tests.support.daemon_home import Home
from tests.support.frames_tui import DEMO, MS, frames, play
from tests.support.models_board import tiny_model

BPU = [sys.executable, "-m", "bpu_host.cli.bpu", "top"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    recorder = Recorder(path, "test")
    for frame in frames(play(DEMO, 1_050 * MS), 1_000 * MS):
        recorder.add(frame)
    recorder.close()
    return path


def test_json_of_a_recording_is_the_recording(recording: Path, capsys, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gz"
    arguments = ["top", "--replay", str(recording), "--speed", "0", "--json"]
    assert main([*arguments, "--record", str(copy)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1:] == recording.read_text().splitlines()[1:]
    assert json.loads(printed[0])["source"] == "run.jsonl"
    assert list(read_frames(copy)) == list(read_frames(recording))
    assert main([*arguments, "--frames", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == printed[:4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--demo", "--board", "127.0.0.1:1"], "one of --board"),
        (["--demo", "--frames", "3"], "--frames needs --json"),
        (["--demo", "--once", "--json"], "--once goes with neither"),
        (["--demo", "--interval", "0.01"], "--interval"),
        (["--demo"], "this is no terminal"),
        (["--replay", "/none.jsonl", "--json"], "cannot read the file"),
        (["--board", "unix:/none/agent.sock", "--json"], "/none/agent.sock"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, arguments: list[str], message: str) -> None:
    assert main(["top", *arguments]) != 0
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_once_prints_the_state_as_text(
    recording: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["top", "--replay", str(recording), "--once"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "simulated, paced clock" in told
    assert "end of recording" in told
    assert "0:00:01 of 0:00:01" in told
    rows = {line.split()[1]: line for line in told.splitlines() if line.startswith("█")}
    assert list(rows) == ["detector", "segmenter", "classifier"]
    assert "core 1" in told


def test_once_keeps_the_header_whole_in_80_columns(
    recording: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    for width in (80, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["top", "--replay", str(recording), "--once"]) == 0
        header, _, _ = capsys.readouterr().out.partition("\n\n")
        assert all(len(line) <= width for line in header.splitlines())
        told[width] = header.split()
    assert told[80] == told[160]
    assert "simulated, paced clock" in " ".join(told[80])


def test_once_of_several_boards(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(monkeypatch)
    monkeypatch.delenv("BPU_BOARD", raising=False)
    try:
        assert main(["top", "--once"]) != 0
        assert "there are no boards" in capsys.readouterr().err
        with Agent(tmp_path) as agent:
            home.add("desk", agent.address)
            home.add("kitchen", "unix:/none/agent.sock")
            assert main(["top", "--once"]) == 0
            title, desk, kitchen = capsys.readouterr().out.splitlines()
            assert title.startswith("board")
            assert desk.startswith("desk")
            assert "simulated, clock stopped" in desk
            assert "disconnected" in kitchen
            assert main(["top", "--json"]) != 0
            assert "--json takes one board" in capsys.readouterr().err
            monkeypatch.setenv("BPU_BOARD", "desk")
            assert main(["top", "--json", "--frames", "1"]) == 0
            assert json.loads(capsys.readouterr().out.splitlines()[0])["source"] == "desk"
    finally:
        home.close()


def test_json_of_a_board(tmp_path: Path) -> None:
    with Agent(tmp_path) as agent:
        path = tmp_path / "tiny.bin"
        path.write_bytes(container.dump([tiny_model()]))
        assert main(["deploy", str(path), "--board", agent.address]) == 0
        assert main(["perf", "tiny", "--board", agent.address, "--frames", "50"]) == 0
        done = subprocess.run(
            [*BPU, "--board", agent.address, "--json", "--frames", "3"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        head, *rest = (json.loads(line) for line in done.stdout.splitlines())
        assert (head["format"], head["version"]) == ("openbpu-telemetry", 1)
        assert len(rest) == 3
        assert rest[-1]["models"][0]["done"] == 50
        closed = subprocess.run(
            f"{sys.executable} -m bpu_host.cli.bpu top --board {agent.address} --json | head -n 2",
            shell=True, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert len(closed.stdout.splitlines()) == 2
        assert "Traceback" not in closed.stderr


def test_networks_are_the_same_each_time() -> None:
    recipe = RECIPES[2]
    first = network(recipe.name, 64, recipe.stages)
    assert first == network(recipe.name, 64, recipe.stages)
    assert first != network("other", 64, recipe.stages)


def test_the_demo_compiles_once_and_shows_preemptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold, then warm; then on a terminal, where keys work; nothing is left behind."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def run() -> tuple[list[dict], str]:
        done = subprocess.run(
            [*BPU, "--demo", "--json", "--frames", "12"],
            capture_output=True, text=True, timeout=150, check=True, env=environment,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    cold, progress = run()
    assert "compiling detector (1 of 3): calibrate the model" in progress
    kept = {path.name: path.stat().st_mtime_ns for path in cache_folder().iterdir()}
    assert set(kept) == {"detector.bin", "segmenter.bin", "classifier.bin"}
    (cache_folder() / "classifier.bin").write_bytes(b"broken")
    _, progress = run()
    assert "compiling classifier" in progress  # a broken file is made again
    assert "compiling detector" not in progress
    for told in (cold,):
        counters = {each["name"]: each for each in told[-1]["models"]}
        assert counters["classifier"]["preempting"] > 0
        assert counters["classifier"]["priority"] == 255
        assert counters["detector"]["preempted"] > 0
    assert _on_a_terminal(environment) > 0
    assert not list(tmp_path.glob("bpu-demo-*"))


def _on_a_terminal(environment: dict[str, str]) -> int:
    """Run the TUI on a pseudo-terminal until it has drawn preemptions; leave it by `q`."""
    main_end, side = pty.openpty()
    process = subprocess.Popen(
        [*BPU, "--demo"],
        stdin=side, stdout=side, stderr=side, start_new_session=True,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )  # fmt: skip
    os.close(side)
    seen = b""
    end = time.monotonic() + 90
    pressed = False
    try:
        while time.monotonic() < end:
            if select.select([main_end], [], [], 0.5)[0]:
                try:
                    seen += os.read(main_end, 1 << 16)
                except OSError:  # the other end is closed
                    break
            if not pressed and "▲".encode() in seen and b"preemptions" in seen:
                os.write(main_end, b"q")
                pressed = True
            if process.poll() is not None:
                break
        assert process.wait(30) == 0, seen[-2000:]
    finally:
        process.kill()
        os.close(main_end)
    return seen.decode(errors="replace").count("▲")
