"""What the user has chosen to look at: the other input of `view`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

SPANS_NS = tuple(ms * 1_000_000 for ms in (20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000))
"""How much time the core timeline can show."""

DEFAULT_SPAN_NS = 500_000_000


class Link(enum.Enum):
    """How the frame source is."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "disconnected"
    ENDED = "end of recording"


@dataclass(frozen=True, slots=True)
class Note:
    """A line of this program's own for the event log, at wall time `wall_ns`."""

    wall_ns: int
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Load:
    """A load on a model that this program drives.

    Attributes:
        threads: frames in flight at most, 1..8.
        core_id: 0 any core, 1 core 0, 2 core 1.
        priority: 0..255; 255 preempts.
        rate_hz: frames a second in a steady beat; 0 submits the next frame when one is done.
    """

    model: str
    threads: int = 1
    core_id: int = 0
    priority: int = 0
    rate_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class UiState:
    """Everything that the keys change, and what is known besides the frames.

    Attributes:
        label: what the header calls the source.
        detail: why the link is as it is (one line, empty while live).
        paused: the last frame given to `view` is not the newest.
        behind_s: how much newer the newest frame is.
        selected: model whose details are shown; empty means the first.
        span_ns: width of the core timeline.
        loads: driven from here.
        recording: name of the file that is written; empty if none.
        zone: of the times in header and log.
    """

    label: str = ""
    link: Link = Link.CONNECTING
    detail: str = ""
    paused: bool = False
    behind_s: float = 0.0
    selected: str = ""
    span_ns: int = DEFAULT_SPAN_NS
    loads: tuple[Load, ...] = ()
    notes: tuple[Note, ...] = ()
    recording: str = ""
    zone: tzinfo = field(default=UTC)
