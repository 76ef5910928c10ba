"""Finding and loading the compiled kernels.

A library ends with a seal, the digest of all that is before it: machine code that was damaged would
end the process at an instruction that is none, or give wrong numbers.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from bpu_sim.kernels import abi

FOLDER = Path(__file__).parent
_MARK = b"BPU kernels\n"
_SEAL_BYTES = len(_MARK) + hashlib.sha256().digest_size
UNTRIED = frozenset({"avxvnni"})
"""Sets that were built and never run by anyone who could say so: chosen only when asked for."""


@dataclass(frozen=True, slots=True)
class Library:
    """The loaded kernels.

    Attributes:
        built: names of the instruction sets in it, the fastest first.
        runs: those that this machine has.
    """

    functions: ctypes.CDLL
    built: tuple[str, ...]
    runs: tuple[str, ...]

    @property
    def best(self) -> str:
        """The fastest set that may be chosen by itself; empty: none."""
        return next((name for name in self.runs if name not in UNTRIED), "")

    def widens(self, name: str) -> bool:
        return bool(self.functions.kernels_widens(name.encode()))


def library_file(machine: str = platform.machine()) -> Path:
    """Where the kernels for a machine lie; a release holds those of several."""
    return FOLDER / f"libbpukernels-{machine}.so"


@functools.cache
def load(path: Path | None = None) -> tuple[Library | None, str]:
    """The library, or None and why there is none."""
    path = path or library_file()
    if not path.exists():
        return None, "they were not compiled for this installation"
    try:
        if not _is_whole(path.read_bytes()):
            return None, "they cannot be loaded: the file is damaged"
        functions = ctypes.CDLL(os.fspath(path))
        abi.declare(functions)
        layout = (ctypes.c_int32 * 4)()
        functions.kernels_layout(layout)
    except (OSError, AttributeError) as error:
        return None, f"they cannot be loaded: {error}"
    if tuple(layout) != abi.LAYOUT:
        return None, f"they speak interface {layout[0]}, this version {abi.ABI}"
    built = tuple(functions.kernels_built().decode().split())
    runs = tuple(name for name in built if functions.kernels_runs(name.encode()))
    library = Library(functions, built, runs)
    return library, "" if library.best else "this machine has none of their instruction sets"


def seal(content: bytes | memoryview) -> bytes:
    """What a library ends with; loaders of programs do not look so far."""
    return _MARK + hashlib.sha256(content).digest()


def _is_whole(file: bytes) -> bool:
    """Whether every byte is as it was built."""
    content = memoryview(file)[:-_SEAL_BYTES]
    return len(content) > 0 and file[len(content) :] == seal(content)
