"""What a fuzz target is, and the oracle that every input is held to.

An input may have a result or be refused by a `BpuError`, within bounds on CPU time and memory. It
may not raise anything else, be called a bug of OpenBPU, write outside of its folder or start a
program.
"""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bpu_common.errors import BpuError, CompilerBug

MOST_CPU_S = 10.0
MOST_BYTES = 1 << 30
"""What one input may add to the memory of the process."""

_BUG = ("bug in OpenBPU", "fault of OpenBPU")
_ENDS = (
    "open",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
)
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Harm(AssertionError):
    """What an input may not do; the text begins with the place, by which equal ones are known."""


@dataclass(frozen=True)
class Target:
    """A reader of bytes from outside.

    Attributes:
        seeds: inputs in the formats of today, to begin with.
        run: has the reader read; may write into the folder, which is its own. It may tell how the
            reader answered.
        change: an input -> another one of its form.
        most_bytes: length of inputs.
        starts_processes: the reader does so by its nature.
        slow: not one of those that reach 100,000 executions in minutes.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes, Path], str | None]
    change: Callable[[random.Random, bytes], bytes]
    most_bytes: int = 1 << 16
    starts_processes: bool = False
    slow: bool = False


@dataclass
class _Watch:
    """What the audit hook of this process looks for, as long as an input is read."""

    folder: str = ""
    starts: bool = False
    found: list[str] = field(default_factory=list)
    on: bool = False


_watch = _Watch()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watch.on:
        return
    if event in _STARTS and not _watch.starts:
        _watch.found.append(f"{event} {arguments[0]!r:.80}")
    elif event == "open" and not arguments[2] & _WRITES:
        return
    elif event in _ENDS and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not f"{path}/".startswith((f"{_watch.folder}/", "/dev/null/", "/dev/shm/")):
            _watch.found.append(f"{event} {path}")


sys.addaudithook(_audit)


@contextmanager
def _watched(target: Target, folder: Path) -> Iterator[None]:
    _watch.folder, _watch.starts = os.path.realpath(folder), target.starts_processes
    _watch.found.clear()
    _watch.on = True
    try:
        yield
    finally:
        _watch.on = False


def _forget_peak() -> None:
    """From now on the peak is that of what follows."""
    Path("/proc/self/clear_refs").write_bytes(b"5")


def peak_bytes() -> int:
    """The most memory that this process has had since the peak was forgotten."""
    status = Path("/proc/self/status").read_bytes()
    at = status.index(b"VmHWM:")
    return int(status[at + 6 : status.index(b"kB", at)]) << 10


def judge(
    target: Target,
    data: bytes,
    folder: Path,
    most_cpu_s: float = MOST_CPU_S,
    most_bytes: int = MOST_BYTES,
) -> str:
    """Have a target read one input.

    Returns:
        The class of the error by which it was refused, or how it was taken.

    Raises:
        Harm: it did what no input may do.
    """
    _forget_peak()
    before_bytes, before_s = peak_bytes(), time.process_time()
    answer = "taken"
    with _watched(target, folder):
        try:
            answer = target.run(data, folder) or answer
        except Harm:
            raise
        except BpuError as error:
            answer = type(error).__name__
            if isinstance(error, CompilerBug) or any(each in str(error) for each in _BUG):
                raise Harm(f"{_place(error)}: {answer}: {error}") from error
        except MemoryError as error:
            raise Harm(f"{_place(error)}: out of memory") from error
        except Exception as error:
            raise Harm(f"{_place(error)}: {type(error).__name__}: {error}") from error
    taken_s, taken_bytes = time.process_time() - before_s, peak_bytes() - before_bytes
    if _watch.found:
        raise Harm(f"outside: {_watch.found[0]}")
    if taken_s > most_cpu_s:
        raise Harm(f"time: {taken_s:.1f} s of CPU, at most {most_cpu_s:g}")
    if taken_bytes > most_bytes:
        raise Harm(f"memory: {taken_bytes >> 20} MiB more, at most {most_bytes >> 20}")
    return answer


def _place(error: BaseException) -> str:
    """The innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "/bpu_" in each.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].name}"
