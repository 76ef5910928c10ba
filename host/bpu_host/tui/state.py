"""What the user has chosen to look at: the other input of `view`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from bpu_common.load import LoadState

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
class UiState:
    """Everything that the keys change, and what is known besides the frames.

    Attributes:
        label: what the header calls the source.
        detail: why the link is as it is (one line, empty while live).
        paused: the last frame given to `view` is not the newest.
        behind_s: how much newer the newest frame is.
        selected: model whose details are shown; empty means the first.
        span_ns: width of the core timeline.
        loads: that run on the board.
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
    loads: tuple[LoadState, ...] = ()
    notes: tuple[Note, ...] = ()
    recording: str = ""
    zone: tzinfo = field(default=UTC)
