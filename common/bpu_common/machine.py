"""The chips, as data: one `MachineSpec` each, with a source beside every number.

Sources: FACTS = public hardware facts (docs/machine.md lists them), FITTED = fitted to published
latencies without any per-network constant, ASSUMED = not published, our choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CpuSpec:
    """The A53 cluster; costs are at `reference_clock_hz` and scale with `clock_hz`.

    Attributes:
        cores: CPU cores that can run operators at the same time.
        contention: an operator that starts when n cores are busy, its own among them, takes
            1 + contention * (n - 1)^2 times as long: they share one path to memory.
    """

    cores: int = 4
    clock_hz: int = 1_200_000_000
    reference_clock_hz: int = 1_200_000_000
    dequantize_ns: float = 4.5  # per value, FACTS
    dequantize_floor_ns: int = 35_000  # FACTS
    lut_ns: float = 7.9  # per element, FITTED (5.3 ns at 1.8 GHz)
    softmax_ns: float = 46.0  # per element (1000 values = 46 us), FACTS
    elementwise_ns: float = 5.5  # per output element of any other operator, ASSUMED
    operator_floor_ns: int = 9_000  # least cost of an operator (Preprocess), FACTS
    submit_ns: int = 60_000  # submit and interrupt of a serial frame, FACTS
    contention: float = 0.049  # FITTED

    def stretch(self, busy: int) -> float:
        """How much longer an operator takes with `busy` cores at work, its own among them."""
        return 1.0 + self.contention * max(0, busy - 1) ** 2


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One chip: arrays, alignments, memories, clocks, scheduling.

    Cycles are BPU core cycles. Bandwidths are bytes per BPU cycle at `clock_hz`.
    """

    name: str
    march: str = "bernoulli2"
    cores: int = 2
    clock_hz: int = 1_000_000_000  # FACTS
    macs_per_cycle: int = 256  # per core; FACTS (derived)
    width_align: int = 8  # FACTS
    width_align_stride2: int = 16  # FACTS
    in_channel_align: int = 4  # FACTS (4 and 8 fit equally)
    out_channel_align: int = 8  # FACTS
    array_overhead: float = 1.04  # cycles per full cycle of the array; FITTED
    depthwise_row_cycles: int = 960  # least time of an output row of a depthwise layer; FITTED
    mul_cycles: float = 0.51  # per element; FITTED
    lut_cycles: float = 0.13  # per element; FITTED
    elements_per_cycle: int = 32  # pooling (per tap), resize, move; ASSUMED
    instruction_cycles: int = 100  # issue, fill and drain per instruction; ASSUMED
    sram_bytes: int = 2 << 20  # per core; ASSUMED (docs/machine.md)
    ddr_bytes_per_cycle: float = 8.6  # one core's peak; FACTS
    ddr_total_bytes_per_cycle: float = 12.8  # x32 at 3200 MT/s, shared by all; FACTS
    ddr_latency_cycles: int = 1_000  # from the last byte to its use; ASSUMED
    ddr_burst_bytes: int = 16  # one beat of a 128-bit bus; ASSUMED
    dma_issue_cycles: int = 20  # per DMA instruction, before its first byte; ASSUMED
    hardware_queue_limit: int = 1  # function calls queued per core; docs/machine.md
    preempting_priorities: tuple[int, ...] = (255,)  # docs/preemption.md
    watchdog_ns: int = 5_000_000_000  # no progress for so long resets a core; ASSUMED
    cpu: CpuSpec = CpuSpec()


X3M = MachineSpec(name="x3m")
J3 = replace(X3M, name="j3", clock_hz=950_000_000)
X3E = replace(X3M, name="x3e", clock_hz=600_000_000, cpu=CpuSpec(cores=2))

MACHINES: dict[str, MachineSpec] = {spec.name: spec for spec in (X3M, J3, X3E)}
DEFAULT_MACHINE = X3M
