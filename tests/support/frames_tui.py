"""A raw event log of two cores, and the telemetry frames of a board that saw it.

`play` is a small scheduler: three models in closed loops or at a beat, priority 255 preempts at
function-call boundaries. It gives every function call as an event; `frames` cuts the log into
frames by the definitions in `bpu_common.telemetry`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.telemetry import (
    LATENCY_WINDOW_NS,
    TELEMETRY_PERIOD_NS,
    UTILISATION_WINDOW_NS,
    CallSlice,
    CoreSample,
    LatencySample,
    LogLine,
    ModelSample,
    QueueSample,
    SystemSample,
    TelemetryFrame,
)

MS = 1_000_000
WALL_NS = 1_750_000_000_000_000_000
CORES = 2
DDR_BYTES_PER_NS = 3


@dataclass(frozen=True)
class Net:
    """A model: durations of its calls, and who submits it (threads, or a beat)."""

    name: str
    calls_ns: tuple[int, ...]
    priority: int = 0
    threads: int = 1
    beat_ns: int = 0


@dataclass
class Task:
    number: int
    net: Net
    submitted_ns: int
    call: int = 0
    started_ns: int = -1
    done_ns: int = -1
    taken: int = 0  # how often it took a core


@dataclass(frozen=True)
class Call:
    """One line of the raw log: a function call ran, and what took the core then."""

    core: int
    task: int
    model: str
    call: int
    start_ns: int
    end_ns: int
    preempted_by: int


@dataclass
class Log:
    nets: tuple[Net, ...]
    calls: list[Call] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)


DEMO = (
    Net("detector", (8 * MS,) * 5 + (5 * MS,), threads=4),
    Net("segmenter", (5 * MS, 5 * MS, 4 * MS), priority=10, threads=1),
    Net("classifier", (3 * MS,), priority=255, beat_ns=31 * MS),
)


_Running = Sequence[tuple[int, Task] | None]
"""By core: when the call began, and its task."""


def _next(running: _Running, beats: Mapping[str, int]) -> tuple[int, int]:
    """When a call ends and on which core, or when the next frame is due (core -1)."""
    ends = [
        (item[0] + item[1].net.calls_ns[item[1].call], core)
        for core, item in enumerate(running)
        if item
    ]
    return min([*ends, *((time_ns, -1) for time_ns in beats.values())])


def _cut_off(log: Log, running: _Running, now_ns: int) -> None:
    """Log the calls that are under way."""
    for core, item in enumerate(running):
        if item:
            begin, task = item
            log.calls.append(Call(core, task.number, task.net.name, task.call, begin, now_ns, -1))


def play(nets: Sequence[Net], until_ns: int) -> Log:
    """Run the loads; the log is whole up to `until_ns`."""
    log = Log(tuple(nets))
    waiting: deque[Task] = deque()
    running: list[tuple[int, Task] | None] = [None] * CORES
    beats = {net.name: 2 * MS for net in nets if net.beat_ns}

    def submit(net: Net, now_ns: int) -> None:
        task = Task(len(log.tasks), net, now_ns)
        log.tasks.append(task)
        waiting.append(task)

    def dispatch(core: int, now_ns: int) -> None:
        if not waiting:
            running[core] = None
            return
        task = min(waiting, key=lambda each: (-each.net.priority, each.call == 0, each.number))
        waiting.remove(task)
        if task.started_ns < 0:
            task.started_ns = now_ns
        running[core] = (now_ns, task)

    for net in nets:
        for _ in range(0 if net.beat_ns else net.threads):
            submit(net, 0)
    for core in range(CORES):
        dispatch(core, 0)
    while True:
        now_ns, core = _next(running, beats)
        if now_ns > until_ns:
            _cut_off(log, running, now_ns)
            return log
        if core < 0:
            for net in nets:
                if beats.get(net.name) == now_ns:
                    beats[net.name] += net.beat_ns
                    submit(net, now_ns)
            for at in range(CORES):
                if running[at] is None:
                    dispatch(at, now_ns)
            continue
        begin, task = running[core]
        by = -1
        last = task.call == len(task.net.calls_ns) - 1
        urgent = next((each for each in waiting if each.net.priority == 255), None)
        if not last and urgent is not None and task.net.priority < 255:
            by = urgent.number
            urgent.taken += 1
        log.calls.append(Call(core, task.number, task.net.name, task.call, begin, now_ns, by))
        task.call += 1
        if last:
            task.done_ns = now_ns
            if not task.net.beat_ns:
                submit(task.net, now_ns)
        elif by < 0:
            running[core] = (now_ns, task)
            continue
        else:
            waiting.append(task)
        dispatch(core, now_ns)


def percentiles(values: Sequence[int]) -> LatencySample:
    """Nearest rank."""
    ordered = sorted(values)
    if not ordered:
        return LatencySample()
    p50, p90, p99 = (ordered[math.ceil(q * len(ordered)) - 1] for q in (0.5, 0.9, 0.99))
    return LatencySample(len(ordered), p50, p90, p99, ordered[-1])


def frames(
    log: Log,
    until_ns: int,
    *,
    boot_id: str = "b00t",
    lines: Sequence[LogLine] = (),
    temperature: bool = True,
) -> list[TelemetryFrame]:
    """The frames that a board would have sent up to `until_ns`."""
    return [
        _frame(log, number, boot_id, lines, temperature)
        for number in range(until_ns // TELEMETRY_PERIOD_NS + 1)
    ]


def standing(told: Sequence[TelemetryFrame], seconds: int) -> list[TelemetryFrame]:
    """The frames of a virtual clock that stands still for so long after the last of `told`."""
    last = told[-1]
    return [
        replace(
            last,
            sequence=last.sequence + at,
            wall_offset_ns=last.wall_offset_ns + at * TELEMETRY_PERIOD_NS,
            slices=(),
            log=(),
            clock=Clock.VIRTUAL,
        )
        for at in range(1, 10 * seconds + 1)
    ]


def _frame(
    log: Log, number: int, boot_id: str, lines: Sequence[LogLine], temperature: bool
) -> TelemetryFrame:
    now_ns = number * TELEMETRY_PERIOD_NS
    before_ns = now_ns - TELEMETRY_PERIOD_NS
    slices = tuple(
        CallSlice(
            call.core,
            call.task,
            call.model,
            call.call,
            f"{call.model}_fc_{call.call}",
            call.start_ns,
            min(call.end_ns, now_ns),
            call.preempted_by if call.end_ns <= now_ns else -1,
            call.end_ns > now_ns,
        )
        for call in sorted(log.calls, key=lambda each: each.start_ns)
        if call.start_ns < now_ns and call.end_ns > before_ns
    )
    wave = math.sin(number / 9)
    return TelemetryFrame(
        sequence=number,
        boot_id=boot_id,
        time_ns=now_ns,
        wall_offset_ns=WALL_NS,
        machine="x3m",
        models=tuple(_model(log, net, now_ns) for net in log.nets),
        queue=_queue(log, now_ns),
        cores=tuple(_core(log, core, now_ns) for core in range(CORES)),
        system=SystemSample(round(340 + 120 * wave), 4, 812 << 20, 2 << 30, 143 << 20),
        slices=slices,
        log=tuple(line for line in lines if before_ns < line.time_ns <= now_ns),
        temperature_millicelsius={"cpu": 54_200 + round(900 * wave)} if temperature else {},
        device=DeviceKind.SIMULATED,
        clock=Clock.PACED,
    )


def _model(log: Log, net: Net, now_ns: int) -> ModelSample:
    tasks = [task for task in log.tasks if task.net is net and task.submitted_ns <= now_ns]
    done = [task for task in tasks if 0 <= task.done_ns <= now_ns]
    recent = [task for task in done if task.done_ns > now_ns - LATENCY_WINDOW_NS]
    alive = [task for task in tasks if not 0 <= task.done_ns <= now_ns]
    running = [task for task in alive if 0 <= task.started_ns <= now_ns]
    mine = [call for call in log.calls if call.model == net.name and call.start_ns <= now_ns]
    owner = {task.number: task.net.name for task in log.tasks}
    lost = [call for call in log.calls if call.preempted_by >= 0 and call.end_ns <= now_ns]
    return ModelSample(
        name=net.name,
        digest=f"{abs(hash_of(net.name)):064x}",
        submitted=len(tasks),
        done=len(done),
        failed=0,
        cancelled=0,
        expired=0,
        late=0,
        refused=0,
        alive=len(alive),
        bpu_busy_ns=sum(min(call.end_ns, now_ns) - call.start_ns for call in mine),
        latency=percentiles([task.done_ns - task.submitted_ns for task in recent]),
        running=len(running),
        waiting=len(alive) - len(running),
        preempted=sum(call.model == net.name for call in lost),
        preempting=sum(owner[call.preempted_by] == net.name for call in lost),
        priority=net.priority,
        pending=percentiles([task.started_ns - task.submitted_ns for task in recent]),
        bpu=percentiles([sum(net.calls_ns) for _ in recent]),
        cpu=percentiles([200_000 for _ in recent]),
    )


def hash_of(name: str) -> int:
    """A number of a name, the same in every process."""
    return int.from_bytes(name.encode()[:8], "big")


def _queue(log: Log, now_ns: int) -> QueueSample:
    alive = [
        task
        for task in log.tasks
        if task.submitted_ns <= now_ns and not 0 <= task.done_ns <= now_ns
    ]
    running = sum(0 <= task.started_ns <= now_ns for task in alive)
    return QueueSample(running, len(alive) - running, 8, 32)


def _core(log: Log, core: int, now_ns: int) -> CoreSample:
    calls = [call for call in log.calls if call.core == core and call.start_ns <= now_ns]
    ended = [call for call in calls if call.end_ns <= now_ns]
    busy_ns = sum(min(call.end_ns, now_ns) - call.start_ns for call in calls)
    start_ns = max(0, now_ns - UTILISATION_WINDOW_NS)
    window_ns = sum(
        max(0, min(call.end_ns, now_ns) - max(call.start_ns, start_ns)) for call in calls
    )
    current = next((call for call in calls if call.end_ns > now_ns), None)
    return CoreSample(
        index=core,
        clock_hz=1_000_000_000,
        utilisation_permille=round(1000 * window_ns / (now_ns - start_ns)) if now_ns else 0,
        busy_ns=busy_ns,
        calls_done=len(ended),
        preemptions=sum(call.preempted_by >= 0 for call in ended),
        task=current.task if current else -1,
        model=current.model if current else "",
        call=current.call if current else -1,
        ddr_bytes=DDR_BYTES_PER_NS * sum(call.end_ns - call.start_ns for call in ended),
        ddr_wait_ns=busy_ns // 20,
    )
