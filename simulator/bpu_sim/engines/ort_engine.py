"""The engine that runs every part in onnxruntime, with the bits of the reference."""

from __future__ import annotations

from bpu_common.network import Network, Part, Place, QConv
from bpu_sim.engines.cpu import CpuPart
from bpu_sim.engines.engine import CustomLoader, PartRunner, PartsEngine
from bpu_sim.engines.ort import OrtPart, Plans
from bpu_sim.engines.reference import ReferencePart


class OrtEngine(PartsEngine):
    """Runs a network in onnxruntime; parts that it cannot run exactly, operation by operation.

    Args:
        threads: onnxruntime's threads within an operator.
        plans: how its operations are computed, if that is known.

    Attributes:
        slow_parts: why a part runs by the reference arithmetic, by the part's name.

    Raises:
        ModelUnsupported: a custom operator, and nothing that computes it.
        ModelFormatError: a part holds what may not be run.
    """

    def __init__(
        self,
        network: Network,
        *,
        threads: int = 1,
        plans: Plans | None = None,
        load_custom: CustomLoader | None = None,
    ) -> None:
        plans = plans or Plans.of(network)
        self.slow_parts: dict[str, str] = {}
        runners: dict[str, PartRunner] = {}
        for part in network.parts:
            if part.place is Place.CPU:
                runners[part.name] = CpuPart(part, network, plans, threads, load_custom)
                continue
            reason = _obstacle(part, plans)
            if reason:
                self.slow_parts[part.name] = reason
                runners[part.name] = ReferencePart(part, network)
            else:
                runners[part.name] = OrtPart(
                    part.name, part.ops, network, plans, part.inputs, part.outputs, threads
                )
        super().__init__("onnxruntime", network, runners)


def _obstacle(part: Part, plans: Plans) -> str:
    """Why onnxruntime cannot run a BPU part exactly, or nothing."""
    for op in part.ops:
        if isinstance(op, QConv) and plans.may_leave_int32(op):
            return f"an accumulator of {op.name} may leave int32, which only the reference notices"
    return ""
