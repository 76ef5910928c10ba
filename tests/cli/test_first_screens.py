"""What programs print before they import anything is what they would print after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bpu_board.cli
import bpu_host.cli
from bpu_board.cli import write_first_screens as of_board
from bpu_common import __version__, container
from bpu_host.cli import write_first_screens as of_host
from tests.support.models_board import tiny_model

PROGRAMS = {
    "bpu": "bpu_host.cli.entry:bpu",
    "bpud": "bpu_host.cli.entry:bpud",
    "hb_mapper": "bpu_host.cli.entry:hb_mapper",
    "bpu-agent": "bpu_board.cli.entry:agent",
    "hrt_model_exec": "bpu_board.cli.entry:hrt_model_exec",
}
_LIGHT = {
    "numpy",
    "click",
    "argparse",
    "dataclasses",
    "re",
    "json",
    "asyncio",
    "logging",
    "inspect",
}


def begin(
    program: str, *arguments: str, check: str = "", columns: str = "120"
) -> subprocess.CompletedProcess[str]:
    """The program by its entry point; `check` runs at its end."""
    module, function = PROGRAMS[program].split(":")
    code = (
        f"import sys, {module} as entry\nsys.argv = {[program, *arguments]!r}\n"
        f"try: status = entry.{function}()\nexcept SystemExit as end: status = end.code\n"
        f"{check}\nsys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"COLUMNS": columns, "PATH": "/usr/bin:/bin"},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("package", "written"), [(bpu_host.cli, of_host.text), (bpu_board.cli, of_board.text)]
)
def test_the_modules_are_written_anew(package, written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    [folder] = package.__path__
    assert (Path(folder) / "first_screens.py").read_text() == written(), "run `make docs`"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_nothing_is_imported_for_them(program: str, flag: str) -> None:
    check = f"print(sorted({_LIGHT!r} & set(sys.modules)), file=sys.stderr)"
    done = begin(program, flag, check=check)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert (__version__ in done.stdout) if flag == "--version" else (program in done.stdout)


@pytest.mark.parametrize("program", ["bpu", "bpud", "hb_mapper"])
def test_a_bare_program_explains_itself(program: str) -> None:
    bare, asked = begin(program), begin(program, "--help")
    assert bare.returncode == 0
    assert bare.stdout == asked.stdout
    assert not bare.stderr


@pytest.mark.parametrize("program", ["bpu", "hb_mapper", "bpu-agent"])
def test_a_narrow_terminal_gets_short_lines(program: str) -> None:
    done = begin(program, "--help", columns="50")
    assert done.returncode == 0
    wide = begin(program, "--help")
    assert done.stdout.split()[:3] == [*wide.stdout.split()[:2], wide.stdout.split()[2]]
    assert len(done.stdout.splitlines()) > len(wide.stdout.splitlines())


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    model = tmp_path / "tiny.bin"
    model.write_bytes(container.dump([tiny_model()]))
    command = [sys.executable, "-m", "bpu_board.cli.hrt_model_exec", "model_info"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, f"--model_file={model}"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.endswith("\nerror: No space left on device: standard output\n")
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_everything_else_goes_on(program: str) -> None:
    done = begin(program, "--no-such-option")
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    assert "error" in done.stderr.lower()
