"""The engine that runs every part in onnxruntime, with the bits of the reference."""

from __future__ import annotations

from bpu_common.network import Network, Place
from bpu_sim.engines.contained import Worker
from bpu_sim.engines.cpu import CpuPart
from bpu_sim.engines.engine import CustomLoader, PartRunner, PartsEngine
from bpu_sim.engines.ort import OrtPart, Plans


class OrtEngine(PartsEngine):
    """Runs a network in onnxruntime.

    Args:
        threads: onnxruntime's threads within an operator.
        plans: how its operations are computed, if that is known.
        contained: float operators run in a process of their own.

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
        contained: bool = False,
    ) -> None:
        worker = Worker(threads) if contained else None
        plans = plans or Plans.of(network)
        runners: dict[str, PartRunner] = {}
        for part in network.parts:
            if part.place is Place.CPU:
                runners[part.name] = CpuPart(part, network, plans, threads, load_custom, worker)
            else:
                runners[part.name] = OrtPart(
                    part.name, part.ops, network, plans, part.inputs, part.outputs, threads
                )
        super().__init__("onnxruntime", network, runners)
