"""The rows of the models, and the details of the selected one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from bpu_common.load import LoadRequest
from bpu_common.plain import plain
from bpu_common.telemetry import LatencySample, ModelSample, TelemetryFrame
from bpu_host.tui.scene import Histogram, ModelRow, Selected, Series
from bpu_host.tui.state import Order
from bpu_host.tui.view.parked import parked_ns
from bpu_host.tui.view.window import RATE_WINDOW_NS, Window, calls_of, since

CALLS_NS = 10_000_000_000
"""The histogram of function calls covers so much device time."""

BINS = 32

_TOPS = (1, 1.2, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8, 10)

_KEYS: dict[Order, Callable[[ModelRow], float | str]] = {
    Order.LOADED: lambda row: row.slot,
    Order.NAME: lambda row: row.name,
    Order.FPS: lambda row: -row.fps,
    Order.P99: lambda row: -(row.p99_ns or 0),
    Order.LOST: lambda row: -row.preempted_per_s,
    Order.PARKED: lambda row: -row.parked_ms,
}


def model_rows(window: Window, loads: tuple[LoadRequest, ...]) -> tuple[ModelRow, ...]:
    """A row a model, in the board's order."""
    last = window.last
    earlier = {(item.name, item.digest): item for item in window.before.models}
    names = [item.name for item in last.models]
    shown = _different(last.models)
    slots = {name: slot for slot, name in reversed(list(enumerate(names)))}
    parked = _parked(window)

    return tuple(
        _row(
            window, slot, item, earlier.get((item.name, item.digest)),
            name=shown[slot],
            loads=tuple(load for load in loads if load.model in (item.name, item.digest)),
            parked={slots.get(name, -1): ms for name, ms in parked.get(item.name, {}).items()},
        )
        for slot, item in enumerate(last.models)
    )  # fmt: skip


def _different(models: Sequence[ModelSample]) -> list[str]:
    """What each model is called: its name, with its digest or even its place where needed."""
    names = Counter(item.name for item in models)
    shown = [
        plain(f"{item.name}@{item.digest[:6]}" if names[item.name] > 1 else item.name)
        for item in models
    ]
    again = Counter(shown)
    return [name if again[name] == 1 else f"{name}#{slot}" for slot, name in enumerate(shown)]


def arranged(rows: tuple[ModelRow, ...], order: Order, wanted: str) -> tuple[ModelRow, ...]:
    """Those whose name contains `wanted` (large and small letters alike), sorted."""
    found = (row for row in rows if wanted.lower() in row.name.lower())
    return tuple(sorted(found, key=lambda row: (_KEYS[order](row), row.slot)))


def selected_model(window: Window, name: str, rows: tuple[ModelRow, ...]) -> Selected | None:
    """Details of the model called `name`, or of the first row."""
    if not rows:
        return None
    row = next((each for each in rows if each.name == name), rows[0])
    model = window.last.models[row.slot]
    return Selected(
        slot=row.slot,
        name=row.name,
        p50=_latency(window.frames, model, lambda latency: latency.p50_ns),
        p99=row.p99,
        calls=_histogram(since(window.frames, window.last.time_ns - CALLS_NS), model.name),
    )


def nice_top(value: float) -> int:
    """The next round number from `value` on (two digits)."""
    if value <= 1:
        return 1
    power: float = 10.0 ** math.floor(math.log10(value))
    return math.ceil(next(step * power for step in _TOPS if step * power >= value))


def _row(
    window: Window,
    slot: int,
    item: ModelSample,
    then: ModelSample | None,
    *,
    name: str,
    loads: tuple[LoadRequest, ...],
    parked: dict[int, float],
) -> ModelRow:
    seen = item.latency.count > 0 and not window.stopped

    def per_second(counter: Callable[[ModelSample], int]) -> float:
        return window.rate(counter(item), counter(then) if then else 0)

    def p50(sample: LatencySample) -> int | None:
        return sample.p50_ns if sample.count and not window.stopped else None

    return ModelRow(
        slot=slot,
        name=name,
        digest=item.digest,
        priority=item.priority,
        fps=per_second(lambda model: model.done),
        p50_ns=item.latency.p50_ns if seen else None,
        p99_ns=item.latency.p99_ns if seen else None,
        pending_ns=p50(item.pending),
        bpu_ns=p50(item.bpu),
        cpu_ns=p50(item.cpu),
        running=item.running,
        waiting=item.waiting,
        submitted=item.submitted,
        done=item.done,
        preempting=item.preempting,
        preempted=item.preempted,
        preempting_per_s=per_second(lambda model: model.preempting),
        preempted_per_s=per_second(lambda model: model.preempted),
        parked=tuple(sorted(parked.items(), key=lambda each: -each[1])),
        missed=item.expired + item.late,
        failed=item.failed + item.refused,
        loads=loads,
        p99=_latency(window.frames, item, lambda latency: latency.p99_ns),
    )


def _parked(window: Window) -> dict[str, dict[str, float]]:
    """ms a second by model that waited and model that ran."""
    if window.elapsed_s <= 0:
        return {}
    start_ns = window.before.time_ns
    calls = calls_of(since(window.frames, start_ns - RATE_WINDOW_NS))
    told = parked_ns(calls, start_ns, window.last.time_ns)
    return {
        model: {other: part_ns / 1e6 / window.elapsed_s for other, part_ns in others.items()}
        for model, others in told.items()
    }


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
        counts[max(0, min(BINS - 1, duration_ns * BINS // top_ns))] += 1
    return Histogram(tuple(counts), top_ns, longest_ns, len(found))
