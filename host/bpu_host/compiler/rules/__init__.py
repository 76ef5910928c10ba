"""Operator rules as data, the placement they lead to, and the page of docs made from them."""

from bpu_host.compiler.rules.placement import check_operators, place_nodes
from bpu_host.compiler.rules.verdict import PlacementOptions, Verdict

__all__ = ["PlacementOptions", "Verdict", "check_operators", "place_nodes"]
