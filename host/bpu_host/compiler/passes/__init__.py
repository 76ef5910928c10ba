"""Rewrites of the float graph: the board's input in front, then the optimization pipeline."""

from bpu_host.compiler.passes.context import PassContext, PassRecord
from bpu_host.compiler.passes.original_float import NAME_PREFIX as PREPROCESS_PREFIX
from bpu_host.compiler.passes.original_float import original_float, own_inputs
from bpu_host.compiler.passes.pipeline import optimize

__all__ = [
    "PREPROCESS_PREFIX",
    "PassContext",
    "PassRecord",
    "optimize",
    "original_float",
    "own_inputs",
]
