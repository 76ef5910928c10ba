"""How the demonstration shows what it does: steps with their time, commands as they print."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpu_common.errors import BpuError

SCRIPTS = Path(sys.executable).parent
PROGRESS = "calibrate"
"""In a line that says how far the slowest step has come."""
FAULTS = (" ERROR ", "error: ", "hint: ")


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a title, what the step prints, and how long it took."""
    print(f"\n\N{BLACK RIGHT-POINTING TRIANGLE} {title}", flush=True)
    start_s = time.monotonic()
    yield
    print(f"  [{time.monotonic() - start_s:.1f} s]", flush=True)


def command(arguments: list[str], folder: Path, *, show: tuple[str, ...] = ()) -> str:
    """Run one of our commands in `folder`; print the lines that contain any word of `show`.

    All of its output goes to a file beside the products, and is returned.

    Raises:
        BpuError: it failed; what it said against it has been printed.
    """
    print("  $ " + " ".join(arguments), flush=True)
    log = folder / f"{arguments[0]}_{arguments[1]}.console.txt"
    lines: list[str] = []
    with subprocess.Popen(
        [str(SCRIPTS / arguments[0]), *arguments[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line)
            _show(line.rstrip("\n"), show)
    log.write_text("".join(lines))
    if running.returncode:
        raise BpuError(
            f"`{arguments[0]} {arguments[1]}` ended with status {running.returncode}",
            hint=f"all it said is in {log}",
        )
    return "".join(lines)


def _show(line: str, words: tuple[str, ...]) -> None:
    """A line that is wanted; progress stays on one line of a terminal."""
    moving = sys.stdout.isatty()
    if PROGRESS in line and " of " in line:
        text = "    " + line.split(" INFO ")[-1]
        print(f"{text:<70}\r" if moving else f"{text}\n", end="", flush=True)
    elif not words or any(word in line for word in (*words, *FAULTS)):
        print("    " + line, flush=True)
