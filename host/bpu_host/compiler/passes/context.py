"""What a pass may look at besides the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import onnx_ir as ir


@dataclass(slots=True)
class PassContext:
    """Notes collected by passes, in order, for the log."""

    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One run of a pass that changed something."""

    name: str
    rewrites: int
    nodes_after: int


Pass: TypeAlias = Callable[[ir.Model, PassContext], int]
"""Rewrites the model in place; returns the number of rewrites."""
