"""One hostile input of a command line, and the runner that holds it to its answer."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CPU_S = 10
"""The kernel ends what goes on for ever."""

_PEAK_BYTES = 1 << 30
_NO_ANSWER = re.compile(r"Traceback|bug in OpenBPU|fault of OpenBPU|internal error|[\x1b\x9b]")

PROGRAMS = {
    "hb_mapper": "from bpu_host.cli.entry import hb_mapper as main",
    "bpu": "from bpu_host.cli.entry import bpu as main",
    "hrt_model_exec": "from bpu_board.cli.entry import hrt_model_exec as main",
}


@dataclass(frozen=True)
class Row:
    """A file made by somebody who means harm.

    Attributes:
        make: writes what is needed into a folder.
        command: program and arguments, run in that folder.
        answer: regular expression of the sentence that its user reads.
        status: exit status; 0 where the input is merely odd and has a right result.
    """

    name: str
    make: Callable[[Path], None]
    command: tuple[str, ...]
    answer: str
    status: int = 1


def check(row: Row, folder: Path) -> str:
    """Run a row; returns all that was printed."""
    row.make(folder)
    program, *arguments = row.command
    code = f"import sys; {PROGRAMS[program]}; sys.exit(main())"
    with (folder / "printed").open("w+") as printed:
        child = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")},
            preexec_fn=_limited,
        )
        _, wait_status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(wait_status)
        printed.seek(0)
        text = printed.read()
    assert child.returncode == row.status, f"status {child.returncode}\n{text[-4000:]}"
    assert re.search(row.answer, text), text[-4000:]
    assert not (found := _NO_ANSWER.search(text)), f"{found}\n{text[-4000:]}"
    assert used.ru_maxrss * 1024 < _PEAK_BYTES, f"{used.ru_maxrss} KiB"
    return text


def _limited() -> None:
    # The soft limit alone: workers set one of their own.
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, resource.RLIM_INFINITY))
