"""Where an operator of the optimized graph runs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

On = Literal["BPU", "CPU"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The placement of one node.

    Attributes:
        on: "BPU" or "CPU".
        reason: sentence that says why it is on the CPU; empty on the BPU.
        rule: id of the rule that decided (see docs/supported-ops.md); empty when all rules hold.
        look_up: on the CPU, but one int8 look-up between operators of the BPU.
    """

    on: On
    reason: str = ""
    rule: str = ""
    look_up: bool = False

    @property
    def on_bpu(self) -> bool:
        return self.on == "BPU"

    @property
    def in_int8(self) -> bool:
        """Whether it computes on codes: all of the BPU, and look-ups on the CPU."""
        return self.on_bpu or self.look_up


@dataclass(frozen=True, slots=True)
class PlacementOptions:
    """Wishes of the user: node names of `run_on_cpu` and `run_on_bpu`, and where they stand."""

    run_on_cpu: tuple[str, ...] = ()
    run_on_bpu: tuple[str, ...] = ()
    run_on_cpu_at: str = ""
    run_on_bpu_at: str = ""
