"""Operator rules as data, the placement they lead to, and the page of docs made from them."""

from bpu_host.compiler.rules.placement import (
    Placement,
    beyond_the_vendor,
    check_operators,
    place,
)
from bpu_host.compiler.rules.verdict import PlacementOptions, Verdict

__all__ = [
    "Placement",
    "PlacementOptions",
    "Verdict",
    "beyond_the_vendor",
    "check_operators",
    "place",
]
