"""Which compiled kernels run here."""

from __future__ import annotations

from typing import TypeAlias

from bpu_common.errors import UsageError
from bpu_sim.kernels.library import Library, load
from bpu_sim.kernels.selftest import failure

SETS = ("vnni", "avxvnni", "avx2", "dot", "neon")
"""Instruction sets that kernels are written for: x86, then aarch64, the fastest first."""

Chosen: TypeAlias = tuple[Library, str]


def choose(wanted: str) -> tuple[Chosen | None, str]:
    """The library and the instruction set, and why; None where another engine must do.

    Args:
        wanted: `auto`, or a set by name.

    Raises:
        UsageError: the set is asked for and cannot run here.
    """
    library, problem = load()
    if wanted == "auto":
        if library is None or not library.best:
            return None, f"no compiled kernels: {problem}"
        wrong = failure(library, library.best)
        if wrong:
            return None, f"the compiled kernels ({library.best}) fail their own test at {wrong!r}"
        return (library, library.best), "the fastest that this machine has"
    if library is None:
        raise UsageError(
            f"the kernels {wanted!r} cannot be used: {problem}",
            hint="compile them with `python -m bpu_sim.kernels.build`",
        )
    if wanted not in library.runs:
        state = "this machine lacks them" if wanted in library.built else "they were not built"
        here = ", ".join(library.runs) or "none"
        raise UsageError(
            f"the kernels {wanted!r} cannot be used: {state}", hint=f"here can run: {here}"
        )
    wrong = failure(library, wanted)
    if wrong:
        raise UsageError(
            f"the kernels {wanted!r} fail their own test at {wrong!r}",
            hint="please report this with the model of your processor",
        )
    return (library, wanted), "asked for"
