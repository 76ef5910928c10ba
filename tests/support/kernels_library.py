"""The compiled kernels under test, and the sets that run here.

TESTED_KERNELS names another library than the installation's: emulated, or watched by sanitizers.
"""

from __future__ import annotations

import os
from pathlib import Path

from bpu_common.network import Network
from bpu_sim.engines.kernel_engine import KernelEngine
from bpu_sim.kernels.library import Library, load


def _loaded() -> Library:
    other = os.environ.get("TESTED_KERNELS")
    library, problem = load(Path(other)) if other else load()
    assert library is not None, f"{problem}: run `python -m bpu_sim.kernels.build`"
    assert library.runs, "this machine has none of the instruction sets"
    return library


LIBRARY = _loaded()
SETS = LIBRARY.runs


def kernel_engines(network: Network) -> list[KernelEngine]:
    """An engine of each set, with two threads a frame."""
    return [KernelEngine(network, LIBRARY, name, threads=2) for name in SETS]
