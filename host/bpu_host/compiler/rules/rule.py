"""What a rule is: an id, the operators it is about, a sentence, and a test of one unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpu_host.compiler.units import Unit


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition for running on the BPU.

    Attributes:
        sentence: the condition, for the documentation.
        test: None when the unit keeps it, else what was found, as a sentence for the user.
    """

    id: str
    ops: tuple[str, ...]
    sentence: str
    test: Callable[[Unit], str | None]

    def found(self, unit: Unit) -> str | None:
        """What breaks the rule in `unit`; None if it keeps it or the rule is not about it."""
        if any(node.op_type in self.ops for node in unit.covers):
            return self.test(unit)
        return None
