"""The cores: their figures, what they ran in the window, and what stands at the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpu_common.plain import plain
from bpu_common.telemetry import CallSlice, CoreSample, TelemetryFrame
from bpu_host.tui.scene import Bar, CoreRow, Mark, Pointed, Timeline
from bpu_host.tui.state import Cursor
from bpu_host.tui.view.parked import gaps, on_cores, ran_meanwhile
from bpu_host.tui.view.window import Window, calls_of, since


def timeline(
    window: Window, span_ns: int, slots: dict[str, int], cursor: Cursor | None
) -> Timeline:
    """The window of `span_ns` up to the last frame; `slots`: by model."""
    last = window.last
    start_ns = last.time_ns - span_ns
    # A call is told by every frame until it has ended: the first frame after the window's start
    # may still tell calls of before it, none that matters is told earlier only.
    calls = calls_of(since(window.frames, start_ns))
    owners = _owners(since(window.frames, start_ns - span_ns))
    by_core: dict[int, list[CallSlice]] = {item.index: [] for item in last.cores}
    for call in calls:
        if call.end_ns > start_ns and call.core in by_core:
            by_core[call.core].append(call)
    cores = tuple(
        _core(
            item,
            slots.get(item.model, -1),
            window,
            tuple(_bar(call, slots, start_ns) for call in by_core[item.index]),
            tuple(_marks(by_core[item.index], slots, owners)),
        )
        for item in last.cores
    )
    pointed = None
    if cursor is not None and start_ns <= cursor.time_ns <= last.time_ns and cursor.core in by_core:
        pointed = _pointed(cursor, window, slots, owners)
    dropped = sum(frame.slices_dropped for frame in since(window.frames, start_ns))
    return Timeline(start_ns, last.time_ns, cores, dropped, pointed)


def ddr(now: Sequence[CoreSample], window: Window) -> tuple[float, float]:
    """Bytes a second of these cores, and by what part their calls took longer by contention."""
    before = {item.index: item for item in window.before.cores}
    then = [before.get(item.index, item) for item in now]

    def grown(counter: Callable[[CoreSample], int]) -> int:
        return sum(counter(item) for item in now) - sum(counter(item) for item in then)

    if window.elapsed_s <= 0:
        return 0.0, 0.0
    waited_ns = grown(lambda core: core.ddr_wait_ns)
    alone_ns = grown(lambda core: core.busy_ns) - waited_ns
    stretch = waited_ns / alone_ns if alone_ns > 0 else 0.0
    return window.rate(grown(lambda core: core.ddr_bytes), 0), stretch


def _core(
    item: CoreSample, slot: int, window: Window, bars: tuple[Bar, ...], marks: tuple[Mark, ...]
) -> CoreRow:
    then = next((each for each in window.before.cores if each.index == item.index), item)
    bandwidth, stretch = ddr((item,), window)
    return CoreRow(
        index=item.index,
        utilisation=0.0 if window.stopped else item.utilisation_permille / 10,
        clock_hz=item.clock_hz,
        slot=slot,
        model=plain(item.model),
        call=item.call,
        calls_per_s=window.rate(item.calls_done, then.calls_done),
        preemptions=item.preemptions,
        ddr_bytes_per_s=bandwidth,
        ddr_stretch=stretch,
        bars=bars,
        marks=marks,
    )


def _bar(call: CallSlice, slots: dict[str, int], start_ns: int) -> Bar:
    return Bar(
        start_ns=max(call.start_ns, start_ns),
        end_ns=call.end_ns,
        slot=slots.get(call.model, -1),
        name=plain(call.model),
        task=call.task,
        call=call.call,
        running=call.running,
    )


def _marks(calls: Sequence[CallSlice], slots: dict[str, int], owners: dict[int, str]) -> list[Mark]:
    return [
        Mark(
            call.end_ns,
            by=slots.get(owners.get(call.preempted_by, ""), -1),
            lost=slots.get(call.model, -1),
        )
        for call in calls
        if call.preempted_by >= 0
    ]


def _pointed(
    cursor: Cursor, window: Window, slots: dict[str, int], owners: dict[int, str]
) -> Pointed:
    """What ran at the cursor. A frame's earlier calls are looked for in the whole window."""
    nothing = Pointed(cursor.core, cursor.time_ns)
    around = calls_of(since(window.frames, cursor.time_ns))
    here = (c for c in around if c.core == cursor.core and c.start_ns <= cursor.time_ns < c.end_ns)
    call = next(here, None)
    if call is None:
        return nothing
    calls = calls_of(window.frames)
    mine = [each for each in calls if each.task == call.task and each.model == call.model]
    gap = next(
        (each for each in gaps(mine, window.last.time_ns) if each.end_ns == call.start_ns), None
    )
    waited_for: dict[str, None] = {}
    if gap is not None:
        for other, _ in ran_meanwhile(gap, on_cores(calls)[gap.core]):
            waited_for[f"{plain(other.model)} #{other.task}"] = None
    taker = call.preempted_by
    return Pointed(
        core=cursor.core,
        time_ns=cursor.time_ns,
        bar=_bar(call, slots, call.start_ns),
        function=plain(call.name),
        duration_ns=call.end_ns - call.start_ns,
        next_name=plain(owners.get(taker, "?")) if taker >= 0 else "",
        next_task=taker,
        waited_ns=gap.end_ns - gap.start_ns if gap else 0,
        waited_for=tuple(waited_for),
        frame_ns=call.end_ns - mine[0].start_ns,
    )


def _owners(frames: Sequence[TelemetryFrame]) -> dict[int, str]:
    """Model by task, of the tasks that were on a core."""
    return {call.task: call.model for frame in frames for call in frame.slices}
