"""The visible state of a board at one instant.

A frame is complete in itself: losing one loses resolution, never truth. Counters are cumulative
since the boot (of the agent's process) that `boot_id` names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpu_common.device_kind import Clock, DeviceKind

TELEMETRY_PERIOD_NS = 100_000_000
"""A frame each 100 ms (docs/preemption.md "Watching it")."""

LATENCY_WINDOW_NS = 10_000_000_000
"""Percentiles cover the last 10 s of device time (docs/telemetry-lines.md)."""

MAX_SLICES = 2048
"""Function calls that one frame carries at most."""

UTILISATION_WINDOW_NS = 1_000_000_000
"""Core utilisation covers the last second of device time."""


@dataclass(frozen=True, slots=True)
class LatencySample:
    """Latencies, submit to done, of the last 10 s; each percentile is within 2 % of the true one.

    All zero when no frame was done in the window.
    """

    count: int = 0
    p50_ns: int = 0
    p90_ns: int = 0
    p99_ns: int = 0
    max_ns: int = 0


@dataclass(frozen=True, slots=True)
class ModelSample:
    """Cumulative counters of one model.

    Attributes:
        done: frames returned, late ones included.
        late: returned after their deadline.
        expired: dropped because the deadline passed before the start, or because the caller gave
            up when it passed.
        refused: not accepted because the queue was full.
        alive: accepted and not yet ended on the device.
        running: alive and on the device; `waiting`: alive and not yet on it (queue depth).
        preempted: how often one of its tasks lost a core; `preempting`: how often one took it.
        priority: of the task seen last.
        pending, bpu, cpu: the split of each latency: on a BPU core, on the CPU, and the rest
            (queues, parked, submission).
        host: host time in which the outputs were computed or fetched, no part of the latency; on a
            simulated chip this is what the computer needs for the numbers.
    """

    name: str
    digest: str
    submitted: int
    done: int
    failed: int
    cancelled: int
    expired: int
    late: int
    refused: int
    alive: int
    bpu_busy_ns: int
    latency: LatencySample
    running: int = 0
    waiting: int = 0
    preempted: int = 0
    preempting: int = 0
    priority: int = 0
    pending: LatencySample = LatencySample()
    bpu: LatencySample = LatencySample()
    cpu: LatencySample = LatencySample()
    host: LatencySample = LatencySample()


@dataclass(frozen=True, slots=True)
class CallSlice:
    """One function call on a core, finished or still running.

    Attributes:
        end_ns: when it ended; the frame's own time while it runs.
        preempted_by: task that took the core at its end, -1 if none did.
    """

    core: int
    task: int
    model: str
    call: int
    name: str
    start_ns: int
    end_ns: int
    preempted_by: int = -1
    running: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the board's event log; `level` is "info", "warning" or "error"."""

    time_ns: int
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class CoreSample:
    """One BPU core.

    Attributes:
        utilisation_permille: share of the last second of device time it executed function calls.
        task: id of the running task, -1 when idle; `model`: its model, empty when idle.
        call: index of the running function call, -1 when idle.
        ddr_bytes: loaded and stored by completed function calls; 0 where the device does not tell.
        ddr_wait_ns: how much longer those calls took because cores share the DDR bus.
    """

    index: int
    clock_hz: int
    utilisation_permille: int
    busy_ns: int
    calls_done: int
    preemptions: int
    task: int = -1
    model: str = ""
    call: int = -1
    ddr_bytes: int = 0
    ddr_wait_ns: int = 0


@dataclass(frozen=True, slots=True)
class QueueSample:
    """The runtime's queue: frames on the device, frames waiting, and their limits.

    Attributes:
        running_limit, alive_limit: of a client that is alone; of all together, twice as much, while
            there are several.
        untaken: frames that are done and whose result is not taken; they too count as alive.
    """

    running: int
    waiting: int
    running_limit: int
    alive_limit: int
    untaken: int = 0


@dataclass(frozen=True, slots=True)
class SystemSample:
    """The computer the agent runs on.

    Attributes:
        cpu_permille: load of all its CPUs since the previous frame.
        process_bytes: resident memory of the agent itself.
    """

    cpu_permille: int
    cpu_count: int
    memory_used_bytes: int
    memory_total_bytes: int
    process_bytes: int


@dataclass(frozen=True, slots=True)
class TelemetryFrame:
    """Everything at one instant.

    Attributes:
        sequence: counts frames of this boot from 0, those of all readers together.
        boot_id: random id of this run of the runtime.
        time_ns: device time (monotonic).
        wall_offset_ns: add it to `time_ns` to get nanoseconds since the Unix epoch.
        machine: name of the `MachineSpec`.
        slices: function calls that ended since this reader's previous frame, in order of their
            ends, then those that still run; at most `MAX_SLICES`, `slices_dropped` older ones did
            not fit.
        log: lines since this reader's previous frame; the first frame has all that are kept.
        temperature_millicelsius: by sensor, empty where the board has none.
        device: what runs the models; `clock`: how `time_ns` passes.
        late_ns: device time that a paced clock has lost since the boot, because this computer does
            not simulate as fast as time passes (docs/machine.md "Device time").
    """

    sequence: int
    boot_id: str
    time_ns: int
    wall_offset_ns: int
    machine: str
    models: tuple[ModelSample, ...]
    queue: QueueSample
    cores: tuple[CoreSample, ...]
    system: SystemSample
    slices: tuple[CallSlice, ...] = ()
    slices_dropped: int = 0
    log: tuple[LogLine, ...] = ()
    temperature_millicelsius: dict[str, int] = field(default_factory=dict)
    device: DeviceKind = DeviceKind.UNKNOWN
    clock: Clock = Clock.UNKNOWN
    late_ns: int = 0
