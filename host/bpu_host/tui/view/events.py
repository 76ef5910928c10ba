"""The event log: lines of the board and of this program."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.plain import plain
from bpu_common.telemetry import LogLine, TelemetryFrame
from bpu_host.tui.scene import Event
from bpu_host.tui.state import UiState
from bpu_host.tui.view.window import clock, wall_ns

MAX_EVENTS = 200


def event_lines(frames: Sequence[TelemetryFrame], ui: UiState) -> tuple[Event, ...]:
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
    end_ns = wall_ns(frames[-1]) if ui.paused and frames else None
    found.extend(
        (note.wall_ns, note.level, note.text)
        for note in reversed(ui.notes)
        if end_ns is None or note.wall_ns <= end_ns
    )
    found.reverse()
    found.sort(key=lambda each: each[0])
    return tuple(
        Event(clock(time_ns, ui.zone), level, plain(text))
        for time_ns, level, text in found[-MAX_EVENTS:]
    )
