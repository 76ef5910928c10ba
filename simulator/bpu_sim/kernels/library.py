"""Finding and loading the compiled kernels."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from bpu_sim.kernels import abi

FOLDER = Path(__file__).parent
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
    if _is_cut(path):  # to load it would end the process
        return None, "they cannot be loaded: the file is cut off"
    try:
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


def _is_cut(path: Path) -> bool:
    """Whether a 64-bit ELF file ends before its table of sections, which linkers write last."""
    try:
        with path.open("rb") as file:
            header = file.read(64)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False  # the loader says why
    if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
        return False
    (start,) = struct.unpack_from("<Q", header, 0x28)
    length, count = struct.unpack_from("<HH", header, 0x3A)
    return bool(size < start + length * count)
