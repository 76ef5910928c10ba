"""`view`: frames -> screen, a pure function."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from bpu_common.load import LoadRequest
from bpu_common.telemetry import (
    CallSlice,
    CoreSample,
    LatencySample,
    LogLine,
    ModelSample,
    TelemetryFrame,
)
from bpu_host.tui.scene import (
    Bar,
    CoreRow,
    Event,
    Gauges,
    Header,
    Histogram,
    Mark,
    ModelRow,
    Selected,
    Series,
    Timeline,
    View,
)
from bpu_host.tui.state import UiState

RATE_WINDOW_NS = 2_000_000_000
"""Rates (frames and calls a second) are means over so much device time."""

SERIES_NS = 60_000_000_000
"""Lines over time go back so far."""

CALLS_NS = 10_000_000_000
"""The histogram of function calls covers so much device time."""

BINS = 32
MAX_EVENTS = 200

_TOPS = (1, 1.2, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8, 10)


def view(frames: Sequence[TelemetryFrame], ui: UiState) -> View:
    """The screen that shows the last of `frames`, of which the others are the past.

    Args:
        frames: in order of arrival; those before a restart of the board give only log lines.
    """
    boot = _same_boot(frames)
    if not boot:
        return View(_header(None, ui), (), Timeline(0, ui.span_ns, ()), None, None, _events([], ui))
    last = boot[-1]
    slots = {sample.name: slot for slot, sample in reversed(list(enumerate(last.models)))}
    recent = _since(boot, last.time_ns - SERIES_NS)
    rows = _models(recent, tuple(load.request for load in ui.loads))
    return View(
        header=_header(last, ui),
        models=rows,
        timeline=_timeline(recent, ui.span_ns, slots),
        selected=_selected(recent, ui.selected, rows),
        gauges=_gauges(recent),
        events=_events(frames, ui),
    )


def plain(text: str) -> str:
    """Text from outside without control characters (a terminal would obey them)."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _same_boot(frames: Sequence[TelemetryFrame]) -> Sequence[TelemetryFrame]:
    """The frames since the last restart: counters and times of others mean nothing here."""
    start = len(frames)
    while start and frames[start - 1].boot_id == frames[-1].boot_id:
        start -= 1
    return frames[start:]


def _since(frames: Sequence[TelemetryFrame], time_ns: int) -> Sequence[TelemetryFrame]:
    """The frames from `time_ns` on."""
    return frames[bisect_left(frames, time_ns, key=lambda frame: frame.time_ns) :]


def _header(last: TelemetryFrame | None, ui: UiState) -> Header:
    wall_ns = last.time_ns + last.wall_offset_ns if last else 0
    return Header(
        label=plain(ui.label),
        machine=plain(last.machine) if last else "",
        link=ui.link,
        detail=plain(ui.detail),
        paused=ui.paused,
        behind_s=ui.behind_s,
        time=_clock(wall_ns, ui) if last else "",
        uptime_s=last.time_ns / 1e9 if last else 0.0,
        recording=plain(ui.recording),
        loads=len(ui.loads),
    )


def _models(
    frames: Sequence[TelemetryFrame], loads: tuple[LoadRequest, ...]
) -> tuple[ModelRow, ...]:
    last = frames[-1]
    before = _since(frames, last.time_ns - RATE_WINDOW_NS)[0]
    earlier = {(item.name, item.digest): item for item in before.models}
    elapsed_s = (last.time_ns - before.time_ns) / 1e9
    names = [item.name for item in last.models]
    rows = []
    for slot, item in enumerate(last.models):
        then = earlier.get((item.name, item.digest))
        done = item.done - (then.done if then else 0)
        seen = item.latency.count > 0
        twice = names.count(item.name) > 1
        rows.append(
            ModelRow(
                slot=slot,
                name=plain(f"{item.name}@{item.digest[:6]}" if twice else item.name),
                digest=item.digest,
                priority=item.priority,
                fps=done / elapsed_s if elapsed_s > 0 else 0.0,
                p50_ns=item.latency.p50_ns if seen else None,
                p99_ns=item.latency.p99_ns if seen else None,
                pending_ns=_p50(item.pending),
                bpu_ns=_p50(item.bpu),
                cpu_ns=_p50(item.cpu),
                running=item.running,
                waiting=item.waiting,
                submitted=item.submitted,
                done=item.done,
                preempting=item.preempting,
                preempted=item.preempted,
                missed=item.expired + item.late,
                failed=item.failed + item.refused,
                loads=tuple(load for load in loads if load.model in (item.name, item.digest)),
                p99=_latency(frames, item, lambda latency: latency.p99_ns),
            )
        )
    return tuple(rows)


def _p50(sample: LatencySample) -> int | None:
    return sample.p50_ns if sample.count else None


def _latency(
    frames: Sequence[TelemetryFrame], model: ModelSample, pick: Callable[[LatencySample], int]
) -> Series:
    """One percentile of a model over time, ms."""
    times, values = [], []
    for frame in frames:
        for item in frame.models:
            if item.name == model.name and item.digest == model.digest:
                times.append(frame.time_ns)
                values.append(pick(item.latency) / 1e6 if item.latency.count else math.nan)
                break
    return Series(tuple(times), tuple(values))


def _timeline(frames: Sequence[TelemetryFrame], span_ns: int, slots: dict[str, int]) -> Timeline:
    last = frames[-1]
    start_ns = last.time_ns - span_ns
    # A call is told by every frame until it has ended: the first frame after the window's start
    # may still tell calls of before it, none that matters is told earlier only.
    calls = _calls(_since(frames, start_ns))
    tasks = _owners(_since(frames, start_ns - span_ns))
    by_core: dict[int, list[CallSlice]] = {item.index: [] for item in last.cores}
    for call in calls:
        if call.end_ns > start_ns and call.core in by_core:
            by_core[call.core].append(call)
    before = _since(frames, last.time_ns - RATE_WINDOW_NS)[0]
    dropped = sum(frame.slices_dropped for frame in _since(frames, start_ns))
    cores = tuple(
        _core(item, before, last.time_ns, (by_core[item.index], slots, tasks, start_ns))
        for item in last.cores
    )
    return Timeline(start_ns, last.time_ns, cores, dropped)


_Told = tuple[list[CallSlice], dict[str, int], dict[int, str], int]


def _core(item: CoreSample, before: TelemetryFrame, now_ns: int, told: _Told) -> CoreRow:
    calls, slots, tasks, start_ns = told
    then = next((each for each in before.cores if each.index == item.index), item)
    elapsed_s = (now_ns - before.time_ns) / 1e9
    bars = tuple(
        Bar(
            start_ns=max(call.start_ns, start_ns),
            end_ns=call.end_ns,
            slot=slots.get(call.model, -1),
            name=plain(call.model),
            task=call.task,
            call=call.call,
            running=call.running,
        )
        for call in calls
    )
    marks = tuple(
        Mark(
            call.end_ns,
            by=slots.get(tasks.get(call.preempted_by, ""), -1),
            lost=slots.get(call.model, -1),
        )
        for call in calls
        if call.preempted_by >= 0
    )
    return CoreRow(
        index=item.index,
        utilisation=item.utilisation_permille / 10,
        clock_hz=item.clock_hz,
        slot=slots.get(item.model, -1),
        model=plain(item.model),
        call=item.call,
        calls_per_s=(item.calls_done - then.calls_done) / elapsed_s if elapsed_s > 0 else 0.0,
        preemptions=item.preemptions,
        bars=bars,
        marks=marks,
    )


def _calls(frames: Iterable[TelemetryFrame]) -> list[CallSlice]:
    """Every function call once, as the last frame that tells of it does; by start."""
    found: dict[tuple[int, int], CallSlice] = {}
    for frame in frames:
        for call in frame.slices:
            found[call.core, call.start_ns] = call
    return sorted(found.values(), key=lambda call: (call.start_ns, call.core))


def _owners(frames: Iterable[TelemetryFrame]) -> dict[int, str]:
    """Model by task, of the tasks that were on a core."""
    return {call.task: call.model for frame in frames for call in frame.slices}


def _selected(
    frames: Sequence[TelemetryFrame], name: str, rows: tuple[ModelRow, ...]
) -> Selected | None:
    if not rows:
        return None
    row = next((each for each in rows if each.name == name), rows[0])
    model = frames[-1].models[row.slot]
    return Selected(
        slot=row.slot,
        name=row.name,
        p50=_latency(frames, model, lambda latency: latency.p50_ns),
        p99=row.p99,
        calls=_histogram(_since(frames, frames[-1].time_ns - CALLS_NS), model.name),
    )


def _histogram(frames: Sequence[TelemetryFrame], model: str) -> Histogram:
    """Durations of the model's finished function calls."""
    found = [
        call.end_ns - call.start_ns
        for frame in frames
        for call in frame.slices
        if call.model == model and not call.running
    ]
    if not found:
        return Histogram()
    longest_ns = max(found)
    top_ns = nice_top(longest_ns)
    counts = [0] * BINS
    for duration_ns in found:
        counts[min(BINS - 1, duration_ns * BINS // top_ns)] += 1
    return Histogram(tuple(counts), top_ns, longest_ns, len(found))


def nice_top(value: float) -> int:
    """The next round number from `value` on (two digits)."""
    if value <= 1:
        return 1
    power: float = 10.0 ** math.floor(math.log10(value))
    return math.ceil(next(step * power for step in _TOPS if step * power >= value))


def _gauges(frames: Sequence[TelemetryFrame]) -> Gauges:
    last = frames[-1]
    return Gauges(
        cpu=last.system.cpu_permille / 10,
        cpu_count=last.system.cpu_count,
        cpu_series=Series(
            tuple(frame.time_ns for frame in frames),
            tuple(frame.system.cpu_permille / 10 for frame in frames),
        ),
        memory_used=last.system.memory_used_bytes,
        memory_total=last.system.memory_total_bytes,
        process_bytes=last.system.process_bytes,
        running=last.queue.running,
        running_limit=last.queue.running_limit,
        waiting=last.queue.waiting,
        alive_limit=last.queue.alive_limit,
        temperatures=tuple(
            (plain(name), value / 1000) for name, value in last.temperature_millicelsius.items()
        ),
    )


def _events(frames: Sequence[TelemetryFrame], ui: UiState) -> tuple[Event, ...]:
    """The newest lines of the board's log and of this program's, by wall time."""
    found: list[tuple[int, str, str]] = []
    told: set[tuple[str, LogLine]] = set()  # a new connection is told old lines once more
    for frame in reversed(frames):
        for line in reversed(frame.log):
            if (frame.boot_id, line) not in told:
                told.add((frame.boot_id, line))
                found.append((line.time_ns + frame.wall_offset_ns, line.level, line.text))
        if len(found) >= MAX_EVENTS:
            break
    end_ns = frames[-1].time_ns + frames[-1].wall_offset_ns if ui.paused and frames else None
    found.extend(
        (note.wall_ns, note.level, note.text)
        for note in reversed(ui.notes)
        if end_ns is None or note.wall_ns <= end_ns
    )
    found.reverse()
    found.sort(key=lambda each: each[0])
    return tuple(
        Event(_clock(wall_ns, ui), level, plain(text))
        for wall_ns, level, text in found[-MAX_EVENTS:]
    )


def _clock(wall_ns: int, ui: UiState) -> str:
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, ui.zone)
    return f"{moment:%H:%M:%S}.{rest_ns // 1_000_000:03d}"
