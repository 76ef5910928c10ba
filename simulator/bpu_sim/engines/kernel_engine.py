"""The engine that runs BPU parts on compiled int8 kernels, with the bits of the reference."""

from __future__ import annotations

from bpu_common.network import Network, Place
from bpu_sim.engines.contained import Worker
from bpu_sim.engines.cpu import CpuPart
from bpu_sim.engines.engine import CustomLoader, PartRunner, PartsEngine
from bpu_sim.engines.ort import Plans
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.part import KernelPart


class KernelEngine(PartsEngine):
    """Runs BPU parts on the kernels of one instruction set, CPU parts as every engine does.

    Args:
        set_name: the instruction set.
        threads: that may work on one frame.
        contained: float operators run in a process of their own.

    Raises:
        ModelUnsupported: a custom operator, and nothing that computes it.
        ModelFormatError: a CPU part holds what may not be run.
        CapacityError: there is not enough memory.
    """

    def __init__(
        self,
        network: Network,
        library: Library,
        set_name: str,
        *,
        threads: int = 1,
        plans: Plans | None = None,
        load_custom: CustomLoader | None = None,
        contained: bool = False,
    ) -> None:
        worker = Worker(threads) if contained else None
        cpu_plans = plans or Plans.of(network)
        runners: dict[str, PartRunner] = {}
        for part in network.parts:
            if part.place is Place.CPU:
                runners[part.name] = CpuPart(part, network, cpu_plans, threads, load_custom, worker)
            else:
                runners[part.name] = KernelPart(library, set_name, part, network, threads)
        super().__init__(set_name, network, runners)
