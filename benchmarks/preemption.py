"""`python -m benchmarks.preemption`: what priorities and `max_time_per_fc` do for an urgent model.

A detector runs in a closed loop at priority 0 with enough threads to keep both BPU cores busy; a
classifier arrives 30 times a second, at seeded times. Both are compiled from random-weight networks
by the real compiler and go through the board's own queue and driver on the simulated X3M, in
virtual time: the figures are the same on every machine.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import onnx

from benchmarks.compiling import compiled
from benchmarks.networks import INPUT, NETWORKS, Builder
from bpu_board.devices.simulated import SimDevice
from bpu_board.profiler.counters import ModelCounters
from bpu_board.runtime.dispatcher import Dispatcher, Frame
from bpu_common.load import arrivals
from bpu_common.machine import MACHINES, MachineSpec
from bpu_common.model import BpuModel
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind

CLASSIFIER = "mobilenet_v2"
DETECTOR = "ssd_mobilenet_v1"
RATE_HZ = 30.0
ARRIVALS = 2_000
SEED = 20
THREADS = 4
LIMIT_US = 1_000
BUSY = 0.95
WARM_UP_NS = 200_000_000
URGENT = 255
SPEC = MACHINES["x3m"]


@dataclass(slots=True)
class Side:
    """What one model did; all times in ns.

    Attributes:
        calls: durations of its function calls.
    """

    latencies: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def percentile(self, q: float) -> int:
        """Nearest rank."""
        return sorted(self.latencies)[math.ceil(len(self.latencies) * q / 100) - 1]

    @property
    def longest_call(self) -> int:
        return max(self.calls, default=0)


@dataclass(slots=True)
class Outcome:
    """One run.

    Attributes:
        busy: share of the time that each core executed function calls.
        preemptions: how often a task lost a core.
        fps: frames per second of the detector.
    """

    classifier: Side
    detector: Side
    busy: tuple[float, ...]
    preemptions: int
    fps: float


class Scene:
    """A board with both models; the runtime's queue in front of the simulated chip."""

    def __init__(self, classifier: BpuModel, detector: BpuModel, spec: MachineSpec = SPEC) -> None:
        self.device = SimDevice(spec)
        self._dispatcher = Dispatcher(self.device)
        self._models = [(self.device.load(m), ModelCounters(m.name, "")) for m in
                        (classifier, detector)]  # fmt: skip
        self._sides = (Side(), Side())
        self._opened: dict[int, int] = {}
        self._ends_ns = 0

    def run(
        self, times_ns: list[int], threads: int, priority: int = 0, core_id: int = 0
    ) -> Outcome:
        """Let the classifier arrive at these times beside `threads` frames of the detector."""
        start_ns = self.device.now_ns()
        self._ends_ns = start_ns + WARM_UP_NS + (times_ns[-1] if times_ns else 2_000_000_000)
        for _ in range(threads):
            self._submit(1, TaskControl(core_id), self.device.now_ns())
        self.device.run_until(start_ns + WARM_UP_NS)
        before, frames = self.device.cores(), len(self._sides[1].latencies)
        for time_ns in times_ns:
            self.device.run_until(start_ns + WARM_UP_NS + time_ns)
            self._submit(0, TaskControl(core_id, priority), self.device.now_ns())
        self.device.run_until(self._ends_ns)
        after, now_ns = self.device.cores(), self.device.now_ns()
        frames = len(self._sides[1].latencies) - frames
        self.device.wait(lambda: self._dispatcher.queue_sample().running == 0)
        span_ns = now_ns - start_ns - WARM_UP_NS
        return Outcome(
            *self._sides,
            tuple((b.busy_ns - a.busy_ns) / span_ns for a, b in zip(before, after, strict=True)),
            sum(b.preemptions for b in self.device.cores()),
            frames * 1e9 / span_ns,
        )

    def _submit(self, which: int, control: TaskControl, now_ns: int) -> None:
        handle, counters = self._models[which]
        frame = Frame(self._dispatcher, handle, None, control, counters)
        side = self._sides[which]

        def listen(event: TaskEvent) -> None:
            if event.kind is TaskEventKind.CALL_STARTED:
                self._opened[event.core] = event.time_ns
            elif event.kind is TaskEventKind.CALL_DONE:
                side.calls.append(event.time_ns - self._opened[event.core])

        def final(ended: Frame) -> None:
            assert ended.final is TaskEventKind.DONE, ended.detail
            side.latencies.append(ended.done_ns - ended.submitted_ns)
            if which == 1 and ended.done_ns < self._ends_ns:
                self._submit(1, control, ended.done_ns)

        frame.listener = listen
        frame.on_final = final
        self._dispatcher.submit(frame, now_ns)


def detector(size: int = 384, seed: int = 7) -> onnx.ModelProto:
    """MobileNetV1 with two SSD-like heads (stride 16 and 32), 6 boxes of 4 + 21 values each."""
    net = Builder(DETECTOR, size, seed)
    x = net.conv(INPUT, 32, 3, 2, act="relu")
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    heads = {}
    for channels, stride in [*plan, (1024, 2), (1024, 1)]:
        if net.shapes[x][0] == 512 and stride == 2:
            heads[x] = x
        x = net.conv(x, net.shapes[x][0], 3, stride, groups=net.shapes[x][0], act="relu")
        x = net.conv(x, channels, act="relu")
    outputs = {}
    for feature in (*heads, x):
        head = net.conv(feature, 6 * 25, 3, norm=False)
        outputs[head] = [1, *net.shapes[head]]
    return net.model(outputs)


@dataclass(frozen=True, slots=True)
class Table:
    """All cases with both models on `core_id` (0: any core)."""

    core_id: int
    cores: tuple[int, ...]
    detector_alone: Outcome
    alone: Outcome
    cases: dict[str, Outcome]


def measure(
    urgent: BpuModel, whole: BpuModel, cut: BpuModel, times_ns: list[int], core_id: int
) -> Table:
    """Run the cases; every one begins with an idle board."""
    cores = (0, 1) if core_id == 0 else (core_id - 1,)
    threads = THREADS if core_id == 0 else THREADS // 2
    return Table(
        core_id,
        cores,
        Scene(urgent, whole).run([], 1, 0, core_id),
        Scene(urgent, whole).run(times_ns, 0, 0, core_id),
        {
            "no priority": Scene(urgent, whole).run(times_ns, threads, 0, core_id),
            "priority only": Scene(urgent, whole).run(times_ns, threads, URGENT, core_id),
            f"priority and max_time_per_fc {LIMIT_US}": Scene(urgent, cut).run(
                times_ns, threads, URGENT, core_id
            ),
        },
    )


def marks(table: Table) -> list[tuple[str, bool]]:
    """What the table has to show, each with whether it does."""
    alone, latency = table.alone.classifier.percentile(99), table.detector_alone.detector
    first, second, last = table.cases.values()
    bound = alone + last.detector.longest_call + SPEC.cpu.submit_ns
    found = last.classifier.percentile(99)
    half = latency.percentile(50) / 2
    busy = min(each.busy[core] for each in (first, second, last) for core in table.cores)
    return [
        (
            (
                f"classifier p99 {_ms(found)} <= alone + longest function call of the detector "
                f"({_ms(last.detector.longest_call)}) + submit = {_ms(bound)}"
            ),
            found <= bound,
        ),
        (
            (
                f"priority only: classifier p99 {_ms(second.classifier.percentile(99))} >= half of "
                f"the detector's latency alone = {_ms(half)}"
            ),
            second.classifier.percentile(99) >= half,
        ),
        (f"the used cores are busy {busy:.1%} of the time or more (>= {BUSY:.0%})", busy >= BUSY),
    ]


def report(table: Table) -> bool:
    """Print a table and its marks; False if one is missed."""
    where = "both cores" if table.core_id == 0 else f"both pinned to core {table.core_id - 1}"
    print(f"\n### {where.capitalize()}\n")
    print(
        "| case | classifier p50 | p99 | detector p50 | p99 | detector FPS | longest call "
        "| cores busy | preemptions |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    one = table.detector_alone.detector
    alone = table.alone.classifier
    print(
        f"| alone | {_ms(alone.percentile(50))} | {_ms(alone.percentile(99))} "
        f"| {_ms(one.percentile(50))} | {_ms(one.percentile(99))} "
        f"| {table.detector_alone.fps:.1f} | {_ms(one.longest_call)} | | 0 |"
    )
    for name, case in table.cases.items():
        found, load = case.classifier, case.detector
        busy = " ".join(f"{case.busy[core]:.1%}" for core in table.cores)
        print(
            f"| {name} | {_ms(found.percentile(50))} | {_ms(found.percentile(99))} "
            f"| {_ms(load.percentile(50))} | {_ms(load.percentile(99))} "
            f"| {case.fps:.1f} | {_ms(load.longest_call)} | {busy} "
            f"| {case.preemptions} |"
        )
    print()
    good = True
    for sentence, holds in marks(table):
        print(f"- {'met' if holds else 'MISSED'}: {sentence}")
        good &= holds
    return good


def _ms(value_ns: float) -> str:
    return f"{value_ns / 1e6:.2f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description="The preemption table.")
    parser.add_argument("--arrivals", type=int, default=ARRIVALS, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="default %(default)s")
    options = parser.parse_args()
    times_ns = list(islice(arrivals(RATE_HZ, options.seed), options.arrivals))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urgent = compiled(NETWORKS[CLASSIFIER](), folder)
        network = detector()
        whole, cut = compiled(network, folder), compiled(network, folder, LIMIT_US)
    print("## Preemption: a classifier beside a busy detector\n")
    print(
        f"Detector {DETECTOR} 384x384, priority 0, closed loop, {THREADS} threads "
        f"({THREADS // 2} on one core); classifier {CLASSIFIER} 224x224, {RATE_HZ:g} Hz, "
        f"{options.arrivals} arrivals, seed {options.seed}; simulated {SPEC.name}, virtual clock."
    )
    results = [report(measure(urgent, whole, cut, times_ns, core_id)) for core_id in (0, 1)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
