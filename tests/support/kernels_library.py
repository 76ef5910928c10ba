"""The compiled kernels of this installation, and the sets that run here."""

from __future__ import annotations

from bpu_common.network import Network
from bpu_sim.engines.kernel_engine import KernelEngine
from bpu_sim.kernels.library import Library, load


def _loaded() -> Library:
    library, problem = load()
    assert library is not None, f"{problem}: run `python -m bpu_sim.kernels.build`"
    assert library.runs, "this machine has none of the instruction sets"
    return library


LIBRARY = _loaded()
SETS = LIBRARY.runs


def kernel_engines(network: Network) -> list[KernelEngine]:
    """An engine of each set, with two threads a frame."""
    return [KernelEngine(network, LIBRARY, name, threads=2) for name in SETS]
