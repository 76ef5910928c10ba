"""The compiled kernels of this installation, and the sets that run here."""

from __future__ import annotations

from bpu_sim.kernels.library import Library, load


def _loaded() -> Library:
    library, problem = load()
    assert library is not None, f"{problem}: run `make kernels`"
    assert library.runs, "this machine has none of the instruction sets"
    return library


LIBRARY = _loaded()
SETS = LIBRARY.runs
