"""A function call on one core: three in-order queues that meet only in `waits`.

The load and the store queue each own a DMA port; when both move data they share the DDR bus. A DMA
leaves its queue when its last byte is on the bus; its result may be used `latency_cycles` later, so
that many small transfers hide each other's latency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bpu_common.machine import MachineSpec
from bpu_common.program import AwaitStream, Engine, FunctionCall, engine_of
from bpu_sim.timing.cost import Cost, instruction_cost, macs_of

_LOAD, _COMPUTE, _STORE = 0, 1, 2
_QUEUE = {Engine.LOAD: _LOAD, Engine.COMPUTE: _COMPUTE, Engine.STORE: _STORE}


@dataclass(frozen=True, slots=True)
class Span:
    """When one instruction ran, in cycles from the start of the call; `end` includes latency."""

    start_cycles: int
    end_cycles: int


@dataclass(frozen=True, slots=True)
class OperationTiming:
    """Share of one operation in one call (or program).

    Attributes:
        operation: index into `Program.operations`.
        cycles: compute engine busy for it, plus `stall_cycles`.
        stall_cycles: compute engine waiting (for data) before its instructions.
    """

    operation: int
    cycles: int
    stall_cycles: int
    macs: int
    load_bytes: int
    store_bytes: int


@dataclass(frozen=True, slots=True)
class CallTiming:
    """Prediction for one function call alone on a core.

    Attributes:
        cycles: from start to the last result in memory.
        compute_cycles, load_cycles, store_cycles: how long each queue was busy.
        ddr_cycles: cycles with at least one DMA port busy.
        operations: in order of first appearance.
        spans: one per instruction, in list order.
    """

    name: str
    cycles: int
    compute_cycles: int
    load_cycles: int
    store_cycles: int
    ddr_cycles: int
    load_bytes: int
    store_bytes: int
    macs: int
    operations: tuple[OperationTiming, ...]
    spans: tuple[Span, ...]


def simulate_call(call: FunctionCall, spec: MachineSpec) -> CallTiming:
    """Run the three queues of `call` to the end, alone on a core and on the DDR bus."""
    costs = tuple(instruction_cost(i, spec) for i in call.instructions)
    return _Pipeline(call, costs, spec).run()


class _Pipeline:
    """One simulation; times are float cycles, rounded up in the result.

    Instructions are numbered stream after stream; queue 3 * stream + k is queue k of a core.
    """

    def __init__(self, call: FunctionCall, costs: tuple[Cost, ...], spec: MachineSpec) -> None:
        self._call = call
        self._instructions = call.instructions
        self._costs = costs
        # Slow-down of each port for every one that is busy: they share the bus evenly.
        self._share = spec.ddr_bytes_per_cycle / spec.ddr_total_bytes_per_cycle
        self._queue_count = count = 3 * len(call.streams)
        self._queues: list[list[int]] = [[] for _ in range(count)]
        self._after: list[tuple[int, ...]] = []
        self._number()
        self._next = [0] * count
        self._active = [-1] * count
        self._remaining = [0.0] * count
        self._busy = [0.0] * count
        self._ports = 0
        self._ddr_busy = 0.0
        self._starts = [0.0] * len(costs)
        self._ends = [math.inf] * len(costs)
        self._idle_since = [0.0] * count
        self._stalls = [0.0] * len(costs)
        self._work = [0.0] * len(costs)

    def _number(self) -> None:
        """Fill the queues, and for each instruction the numbers of those it waits for."""
        sizes = [len(stream.instructions) for stream in self._call.streams]
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        for number, stream in enumerate(self._call.streams):
            for index, instruction in enumerate(stream.instructions):
                at = starts[number] + index
                self._queues[3 * number + _QUEUE[engine_of(instruction)]].append(at)
                waits = tuple(starts[number] + wait for wait in instruction.waits)
                if isinstance(instruction, AwaitStream):
                    waits += (starts[instruction.stream] + instruction.instruction,)
                self._after.append(waits)

    def run(self) -> CallTiming:
        now = 0.0
        queues = range(self._queue_count)
        while True:
            wake = self._start_ready(now)
            step = min((self._time_left(q) for q in queues if self._active[q] >= 0), default=None)
            if step is None:
                if wake == math.inf:
                    break
                now = wake
                continue
            step = min(step, wake - now)
            self._advance(step)
            now += step
            self._retire(now)
        return self._result()

    def _start_ready(self, now: float) -> float:
        """Start every queue head that may run; return when the next waiting head may."""
        wake = math.inf
        for queue in range(self._queue_count):
            if self._active[queue] >= 0 or self._next[queue] == len(self._queues[queue]):
                continue
            index = self._queues[queue][self._next[queue]]
            ready = max((self._ends[w] for w in self._after[index]), default=0.0)
            if ready > now:
                wake = min(wake, ready)
                continue
            self._next[queue] += 1
            self._active[queue] = index
            self._starts[index] = now
            self._remaining[queue] = self._work_of(index)
            if queue % 3 == _COMPUTE:
                self._stalls[index] = now - self._idle_since[queue]
            else:
                self._ports += 1
        return wake

    def _work_of(self, index: int) -> float:
        cycles = float(self._costs[index].cycles)
        self._work[index] = cycles
        return cycles

    def _time_left(self, queue: int) -> float:
        return self._remaining[queue] * self._stretch(queue)

    def _stretch(self, queue: int) -> float:
        return 1.0 if queue % 3 == _COMPUTE else max(1.0, self._ports * self._share)

    def _advance(self, step: float) -> None:
        if self._ports:
            self._ddr_busy += step
        for queue in range(self._queue_count):
            if self._active[queue] >= 0:
                self._busy[queue] += step
                self._remaining[queue] -= step / self._stretch(queue)

    def _retire(self, now: float) -> None:
        for queue in range(self._queue_count):
            index = self._active[queue]
            if index >= 0 and self._remaining[queue] <= 1e-6:
                self._active[queue] = -1
                self._ends[index] = now + self._costs[index].latency_cycles
                if queue % 3 == _COMPUTE:
                    self._idle_since[queue] = now
                else:
                    self._ports -= 1

    def _result(self) -> CallTiming:
        load, compute, store = (math.ceil(sum(self._busy[k::3]) - 1e-6) for k in range(3))
        return CallTiming(
            name=self._call.name,
            cycles=math.ceil(max(self._ends, default=0.0) - 1e-6),
            compute_cycles=compute,
            load_cycles=load,
            store_cycles=store,
            ddr_cycles=math.ceil(self._ddr_busy - 1e-6),
            load_bytes=sum(c.load_bytes for c in self._costs),
            store_bytes=sum(c.store_bytes for c in self._costs),
            macs=sum(macs_of(i) for i in self._instructions),
            operations=self._operations(),
            spans=tuple(
                Span(round(s), round(e)) for s, e in zip(self._starts, self._ends, strict=True)
            ),
        )

    def _operations(self) -> tuple[OperationTiming, ...]:
        rows: dict[int, list[float]] = {}
        for index, instruction in enumerate(self._instructions):
            row = rows.setdefault(instruction.operation, [0.0, 0.0, 0, 0, 0])
            if engine_of(instruction) is Engine.COMPUTE:
                row[0] += self._work[index] + self._stalls[index]
                row[1] += self._stalls[index]
            row[2] += macs_of(instruction)
            row[3] += self._costs[index].load_bytes
            row[4] += self._costs[index].store_bytes
        return tuple(
            OperationTiming(operation, round(r[0]), round(r[1]), int(r[2]), int(r[3]), int(r[4]))
            for operation, r in rows.items()
        )
