"""Moments worth a look: the next preemption, the frame that took longest, the next call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.state import Cursor
from bpu_host.tui.view.window import SERIES_NS, calls_of, same_boot, since

_AROUND_NS = 15_000_000_000
"""Neighbouring calls are looked for within so much time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A call of interest, `start_ns` to `end_ns`; the cursor stands in its last nanosecond."""

    core: int
    start_ns: int
    end_ns: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.core, self.end_ns - 1)


def next_preemption(frames: Sequence[TelemetryFrame], after: int, step: int) -> Moment | None:
    """The first loss of a core after (`step` 1) or before (-1) device time `after`.

    Args:
        frames: of one board; only those of the last boot are looked at.
    """
    boot = same_boot(frames)
    at = len(boot) - len(since(boot, after))
    rest = boot[at:] if step > 0 else reversed(boot[: at + 1])
    for frame in rest:
        found = [
            call
            for call in frame.slices
            if call.preempted_by >= 0 and (call.end_ns - after) * step > 0
        ]
        if found:
            call = (min if step > 0 else max)(found, key=lambda each: each.end_ns)
            return Moment(call.core, call.start_ns, call.end_ns)
    return None


def worst_frame(frames: Sequence[TelemetryFrame], model: str) -> Moment | None:
    """Of the model's frames of the last minute, the one with most time from the begin of its first
    function call to the end of its last; the moment's `start_ns` and `end_ns` are these.
    """
    boot = same_boot(frames)
    if not boot:
        return None
    spans: dict[int, Moment] = {}
    for call in calls_of(since(boot, boot[-1].time_ns - SERIES_NS)):
        if call.model == model:
            begun = spans.get(call.task)
            start_ns = begun.start_ns if begun else call.start_ns
            spans[call.task] = Moment(call.core, start_ns, call.end_ns)
    return max(spans.values(), key=lambda each: each.end_ns - each.start_ns, default=None)


def neighbour(frames: Sequence[TelemetryFrame], cursor: Cursor, step: int) -> Moment | None:
    """The call on the cursor's core that begins after (`step` 1) or before (-1) the one there."""
    boot = same_boot(frames)
    near = since(boot, cursor.time_ns - _AROUND_NS)
    calls = [call for call in calls_of(near) if call.core == cursor.core]
    if step > 0:
        call = next((each for each in calls if each.start_ns > cursor.time_ns), None)
    else:
        here = next((c.start_ns for c in calls if c.start_ns <= cursor.time_ns < c.end_ns), None)
        limit_ns = cursor.time_ns if here is None else here
        call = next((each for each in reversed(calls) if each.end_ns <= limit_ns), None)
    return None if call is None else Moment(call.core, call.start_ns, call.end_ns)
