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
    REPLAY = "replay"
    ENDED = "end of recording"


class Order(enum.Enum):
    """What the models are sorted by; the value is the heading of the column."""

    LOADED = ""  # as the board names them
    NAME = "model"
    FPS = "FPS"
    P99 = "p99 ms"
    LOST = "lost/s"
    PARKED = "parked ms/s"


@dataclass(frozen=True, slots=True)
class Note:
    """A line of this program's own for the event log, at wall time `wall_ns`."""

    wall_ns: int
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording: wall times of its first and last frame, 0 if they are not known; recorded
    seconds a second, 0 without waiting.
    """

    first_ns: int
    last_ns: int
    speed: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the core timeline, in device time."""

    core: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class UiState:
    """Everything that the keys change, and what is known besides the frames.

    Attributes:
        label: what the header calls the source.
        detail: why the link is as it is (one line, empty while live).
        replay: of a recording; None while it is not known, and of a board.
        paused: the last frame given to `view` is not the newest.
        behind_s: how much newer the newest frame is.
        selected: model whose details are shown; empty means the first.
        order: of the models; `wanted`: only those whose name contains it.
        span_ns: width of the core timeline.
        cursor: place in the core timeline that is explained.
        loads: that run on the board.
        recording: name of the file that is written; empty if none.
        zone: of the times in header and log.
    """

    label: str = ""
    link: Link = Link.CONNECTING
    detail: str = ""
    replay: Replay | None = None
    paused: bool = False
    behind_s: float = 0.0
    selected: str = ""
    order: Order = Order.LOADED
    wanted: str = ""
    span_ns: int = DEFAULT_SPAN_NS
    cursor: Cursor | None = None
    loads: tuple[LoadState, ...] = ()
    notes: tuple[Note, ...] = ()
    recording: str = ""
    zone: tzinfo = field(default=UTC)
