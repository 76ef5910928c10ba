"""A BPU part on the kernels."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from bpu_common.network import BPU_OPS, Network, Part, tensors_made
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.plan import Plan


class KernelPart:
    """Runs a part of int8 operations; may be shared by threads.

    Args:
        set_name: the instruction set.
        threads: that may work on one frame.

    Raises:
        CapacityError: there is not enough memory.
    """

    def __init__(
        self, library: Library, set_name: str, part: Part, network: Network, threads: int
    ) -> None:
        self._library, self._set, self._threads = library, set_name, threads
        self._part, self._tensors = part, network.tensors
        self._made = {name for op in part.ops for name in tensors_made(op)}
        self.plan = self._make(part.outputs)
        self._kept: tuple[tuple[str, ...], Plan] | None = None
        self._lock = threading.Lock()

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> dict[str, AnyArray]:
        """The outputs and the tensors of `keep` that are made here."""
        del stop  # looked at between parts
        inner = tuple(sorted(self._made.intersection(keep).difference(self._part.outputs)))
        plan = self._keeping(inner) if inner else self.plan
        return plan.run(values, threads=self._threads)

    def _keeping(self, inner: tuple[str, ...]) -> Plan:
        """The plan that gives inner tensors too; the last one is remembered."""
        with self._lock:
            if self._kept is None or self._kept[0] != inner:
                self._kept = (inner, self._make((*self._part.outputs, *inner)))
            return self._kept[1]

    def _make(self, outputs: tuple[str, ...]) -> Plan:
        ops = [op for op in self._part.ops if isinstance(op, BPU_OPS)]
        return Plan(self._library, self._set, ops, self._tensors, self._part.inputs, outputs)
