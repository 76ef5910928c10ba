"""Placement: one BPU part of the quantized network becomes a `Program`.

    graph -> planner <-> evaluate -> emitter -> allocate -> waits -> Program
                ^                                  |          |
                +---- no address: less room -------+          |
                +---- a function call too long: cuts ---------+

docs/placement.md has the way, the words and the invariants on one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bpu_common.errors import CapacityError, ConfigError
from bpu_common.limits import LEAST_CALL_US
from bpu_common.machine import MachineSpec
from bpu_common.model import ConstantPlace
from bpu_common.network import BPU_OPS, Network, Part, tensors_made, tensors_read
from bpu_common.program import Program
from bpu_host.compiler.place.emitter import Overlap
from bpu_host.compiler.place.evaluate import Policy
from bpu_host.compiler.place.graph import PartGraph, build_graph
from bpu_host.compiler.place.planner import Planner
from bpu_host.compiler.place.program import make_program
from bpu_sim.timing import instruction_cost

__all__ = ["EmitOptions", "place"]

LEVELS = ("O0", "O1", "O2", "O3")
MODES = ("latency", "bandwidth")


@dataclass(frozen=True, slots=True)
class EmitOptions:
    """What the configuration says about the program.

    Optimization levels (each adds to the one before):
    O0: every tensor goes through DDR, one tile after the other, nothing overlaps.
    O1: tensors stay in SRAM where they fit and where that pays.
    O2: loads of the next tile and stores of the last one run beside the computation.
    O3: weights of the next layer are loaded ahead, and chains of layers are fused by row bands
        where their inner results do not fit into SRAM.

    Attributes:
        compile_mode: "latency" prefers fewer cycles, "bandwidth" fewer bytes to and from DDR.
        max_time_per_fc_us: longest function call in microseconds; 0 for one call per part.
        debug: note figures of the placement in the model's parameters.

    Raises:
        ConfigError: a value out of range.
    """

    optimize_level: str = "O3"
    compile_mode: str = "latency"
    max_time_per_fc_us: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        if self.optimize_level not in LEVELS:
            raise ConfigError(f"optimize_level {self.optimize_level!r} is not one of {LEVELS}")
        if self.compile_mode not in MODES:
            raise ConfigError(f"compile_mode {self.compile_mode!r} is not one of {MODES}")
        if self.max_time_per_fc_us and self.max_time_per_fc_us < LEAST_CALL_US:
            raise ConfigError(
                f"max_time_per_fc {self.max_time_per_fc_us} is neither 0 nor at least "
                f"{LEAST_CALL_US}",
                hint="the unit is microseconds (older tables say milliseconds)",
            )


def place(
    part: Part,
    network: Network,
    constants: Sequence[ConstantPlace],
    spec: MachineSpec,
    options: EmitOptions,
) -> Program:
    """The program of one BPU part.

    Args:
        constants: places in the weights section, one for each operation.

    Raises:
        CapacityError: a layer does not fit; names the layer.
    """
    names = {n for op in part.ops for n in (*tensors_read(op), *tensors_made(op))}
    graph = build_graph(
        PartGraph(
            ops=tuple(op for op in part.ops if isinstance(op, BPU_OPS)),
            tensors={n: t for n, t in network.tensors.items() if n in names},
            inputs=part.inputs,
            outputs=part.outputs,
            images={i.tensor.name: i for i in network.inputs if i.input_type.is_image},
            constants=tuple(constants),
        )
    )
    level = LEVELS.index(options.optimize_level)
    policy = Policy(
        resident=level >= 1,
        overlap=Overlap(tiles=level >= 2, weights=level >= 3),
        fuse=level >= 3,
        save_bandwidth=options.compile_mode == "bandwidth",
    )
    limit_cycles = options.max_time_per_fc_us * spec.clock_hz // 1_000_000
    planner = Planner(graph, spec, policy)
    programs = [make_program(part.name, planner, limit_cycles)]
    # The search is greedy, so the other mode may do better by this one's measure: both are made.
    other = replace(policy, save_bandwidth=not policy.save_bandwidth)
    with suppress(CapacityError):
        programs.append(make_program(part.name, planner.under(other), limit_cycles))
    return min(programs, key=lambda program: _cost(program, spec, policy))


def _cost(program: Program, spec: MachineSpec, policy: Policy) -> tuple[int, int]:
    """Smaller is better: cycles and DDR bytes, the one that the mode asks for first."""
    cycles = sum(call.predicted_cycles for call in program.calls)
    costs = (instruction_cost(i, spec) for call in program.calls for i in call.instructions)
    ddr_bytes = sum(cost.load_bytes + cost.store_bytes for cost in costs)
    return (ddr_bytes, cycles) if policy.save_bandwidth else (cycles, ddr_bytes)
