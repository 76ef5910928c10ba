"""What is on the screen, as values: the output of `view` and the only input of the widgets."""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.load import LoadRequest
from bpu_host.tui.state import Link, Order

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letter(slot: int) -> str:
    """The letter that stands for a model where there is no colour; `?` for an unknown one."""
    return LETTERS[slot % len(LETTERS)] if slot >= 0 else "?"


@dataclass(frozen=True, slots=True)
class Series:
    """A line over time: `values[i]` at `times_ns[i]`, NaN where there is none."""

    times_ns: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model.

    Attributes:
        slot: number of its colour and letter.
        fps: frames done a second, over `RATE_WINDOW_NS`.
        p50_ns, p99_ns: of the last 10 s; None if no frame was done in them, or the clock stands.
        pending_ns, bpu_ns, cpu_ns: the p50 of each part; None as above.
        preempting, preempted: how often it took a core and lost one, and the same a second.
        parked: how long its frames stood still after they had lost a core, ms a second, by the
            slot of the model that ran there meanwhile; the longest first.
        missed: frames dropped for their deadline, or late.
        failed: failed or refused.
        loads: that the board runs on the model.
        p99: the sparkline, ms.
    """

    slot: int
    name: str
    digest: str
    priority: int
    fps: float
    p50_ns: int | None
    p99_ns: int | None
    pending_ns: int | None
    bpu_ns: int | None
    cpu_ns: int | None
    running: int
    waiting: int
    submitted: int
    done: int
    preempting: int
    preempted: int
    preempting_per_s: float
    preempted_per_s: float
    parked: tuple[tuple[int, float], ...]
    missed: int
    failed: int
    loads: tuple[LoadRequest, ...]
    p99: Series

    @property
    def parked_ms(self) -> float:
        """Of all other models together, ms a second."""
        return sum(each for _, each in self.parked)


@dataclass(frozen=True, slots=True)
class Bar:
    """One function call on a core, within the window of the timeline.

    Attributes:
        slot: of its model, -1 if unknown.
        name: of the model.
    """

    start_ns: int
    end_ns: int
    slot: int
    name: str
    task: int
    call: int
    running: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """At `time_ns` a task of the model `by` took the core from a task of `lost`."""

    time_ns: int
    by: int
    lost: int


@dataclass(frozen=True, slots=True)
class Pointed:
    """What stands at the cursor of the timeline.

    Attributes:
        bar: the function call there; None while the core is idle.
        function: its name in the program.
        duration_ns: of the call, up to now if it runs.
        next_name, next_task: model and frame that took the core from it, empty and -1 if none did.
        waited_ns: how long the frame had stood still before the call, after it had lost a core,
            and `waited_for`: what ran there meanwhile.
        frame_ns: since the frame's first call began.
    """

    core: int
    time_ns: int
    bar: Bar | None = None
    function: str = ""
    duration_ns: int = 0
    next_name: str = ""
    next_task: int = -1
    waited_ns: int = 0
    waited_for: tuple[str, ...] = ()
    frame_ns: int = 0


@dataclass(frozen=True, slots=True)
class CoreRow:
    """One core: figures, and what it did in the window.

    Attributes:
        utilisation: percent of the last second.
        ddr_bytes_per_s: loaded and stored by function calls that ended.
        ddr_stretch: by what part calls took longer because cores share the DDR bus.
    """

    index: int
    utilisation: float
    clock_hz: int
    slot: int
    model: str
    call: int
    calls_per_s: float
    preemptions: int
    ddr_bytes_per_s: float
    ddr_stretch: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The window of the core timeline, in device time."""

    start_ns: int
    end_ns: int
    cores: tuple[CoreRow, ...]
    dropped: int = 0
    pointed: Pointed | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of durations in equal bins from 0 to `top_ns`.

    Attributes:
        longest_ns: of the counted durations; `total`: how many they are.
    """

    counts: tuple[int, ...] = ()
    top_ns: int = 0
    longest_ns: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Selected:
    """Details of the chosen model: latencies in ms over time, durations of its calls."""

    slot: int
    name: str
    p50: Series
    p99: Series
    calls: Histogram


@dataclass(frozen=True, slots=True)
class Gauges:
    """The board's computer and queue.

    Attributes:
        cpu: percent of all CPUs; `cpu_series`: the same over wall time.
        ddr_bytes_per_s: of all cores; `ddr_limit_bytes_per_s`: of the bus, 0 if unknown.
        ddr_stretch: as in `CoreRow`, of all cores.
        temperatures: sensor and degrees Celsius.
    """

    cpu: float = 0.0
    cpu_count: int = 0
    cpu_series: Series = Series()
    memory_used: int = 0
    memory_total: int = 0
    process_bytes: int = 0
    running: int = 0
    running_limit: int = 0
    waiting: int = 0
    alive_limit: int = 0
    ddr_bytes_per_s: float = 0.0
    ddr_limit_bytes_per_s: float = 0.0
    ddr_stretch: float = 0.0
    temperatures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event log; `time` is HH:MM:SS.mmm."""

    time: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """The top line.

    Attributes:
        device: what the numbers come from, in words: "simulated, virtual clock".
        stopped: the device's clock stands still; `late`: it is paced and falls behind.
        place: where in a recording the frame is, and how fast it is played.
        time: wall time of the frame, empty without one.
        uptime_s: device time of the frame.
    """

    label: str
    machine: str
    device: str
    stopped: bool
    late: bool
    link: Link
    place: str
    detail: str
    paused: bool
    behind_s: float
    time: str
    uptime_s: float
    recording: str
    loads: int


@dataclass(frozen=True, slots=True)
class View:
    """The whole screen.

    Attributes:
        models: those that are wanted, in the order that is wanted.
        hidden: how many others there are.
    """

    header: Header
    models: tuple[ModelRow, ...]
    timeline: Timeline
    selected: Selected | None
    gauges: Gauges | None
    events: tuple[Event, ...]
    order: Order = Order.LOADED
    wanted: str = ""
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One board of several.

    Attributes:
        models: names of those that are loaded.
        fps: frames done a second, of all models; `lost_per_s`: preemptions.
        p99_ns, slowest: the largest of its models, and which one; None and empty without frames.
        utilisation: percent, by core; `utilisation_series`: mean of the cores over time.
        cpu: percent of all CPUs.
    """

    label: str
    link: Link
    detail: str
    machine: str = ""
    device: str = ""
    stopped: bool = False
    late: bool = False
    models: tuple[str, ...] = ()
    fps: float = 0.0
    p99_ns: int | None = None
    slowest: str = ""
    lost_per_s: float = 0.0
    running: int = 0
    waiting: int = 0
    utilisation: tuple[float, ...] = ()
    utilisation_series: Series = Series()
    ddr_bytes_per_s: float = 0.0
    cpu: float = 0.0
