"""Modules that are imported when something of them is used, not when they are named.

onnx_ir names sympy, which takes half of the compiler's start, and uses it only to compute with
symbolic sizes; the shapes of our models are numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

LATE = frozenset({"sympy", "onnx_ir._symbolic_shapes"})


class LateFinder(MetaPathFinder):
    """Finds the modules of `LATE` as every other, and executes them at their first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a late module; None for all others."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def install() -> None:
    """Let the modules of `LATE` come late from now on; those that are there already stay."""
    if not any(isinstance(finder, LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LateFinder())
