"""The device seam: everything above it is the same for the simulated chip and for a real board.

A device opens model *files* and tells what is in them as `ModelInfo`; what a file looks like inside
is its own business, so a vendor's library with the vendor's files can stand behind the seam. Its
unit of work is the task, one frame of one model (docs/board.md "Tensors and tasks"): a device
schedules inside itself, so nothing above may rely on driving single function calls.

`Device` is what every device must do. `Plans`, `Observes`, `Inspects`, `Computes` and `Lags` are
what one may be able to tell beyond that; callers ask with `isinstance` and say plainly what a
device cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from bpu_common.board import ModelInfo
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.engine import EngineInfo
from bpu_common.frame import FrameInput
from bpu_common.stop import Stop
from bpu_common.task import TaskControl, TaskEvent, TaskPlan
from bpu_common.telemetry import CallSlice
from bpu_common.tensor import AnyArray, TensorSpec

OnEvent: TypeAlias = Callable[[TaskEvent], None]
Inputs: TypeAlias = Mapping[str, FrameInput]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device is and what it can tell.

    Attributes:
        machine: name of its `MachineSpec`.
        step_times: events of steps and function calls are delivered with true times.
        preemption_visible: PARKED and RESUMED are delivered.
        device: simulated, or a real chip.
        clock: VIRTUAL: device time passes only inside `Device.wait`.
    """

    machine: str
    core_count: int
    clock_hz: int
    step_times: bool
    preemption_visible: bool
    device: DeviceKind
    clock: Clock

    @property
    def virtual_time(self) -> bool:
        return self.clock is Clock.VIRTUAL


@dataclass(frozen=True, slots=True)
class CoreState:
    """What one BPU core has done and does; `busy_ns` counts a running call up to now.

    Attributes:
        ddr_bytes: loaded and stored by completed function calls.
        ddr_wait_ns: how much longer those took because cores share the DDR bus.
    """

    index: int
    busy_ns: int
    calls_done: int
    preemptions: int
    task: int = -1
    model: str = ""
    call: int = -1
    ddr_bytes: int = 0
    ddr_wait_ns: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What the device did, for telemetry.

    Attributes:
        calls: function calls that ended since the mark, in order of their ends, then those that run
            now.
        dropped: older ones that are no longer known.
        mark: where the next question goes on.
    """

    time_ns: int
    cores: tuple[CoreState, ...]
    calls: tuple[CallSlice, ...]
    dropped: int
    mark: int


@dataclass(frozen=True, slots=True, eq=False)
class PartValues:
    """Arrays at the boundary of one segment, read-only.

    Attributes:
        specs: of those tensors that have a padded form on the device, by name.
        compared: elements of the outputs found equal between the fast path and the instructions;
            0 when they were not compared.
    """

    name: str
    on: str
    inputs: dict[str, AnyArray] = field(default_factory=dict)
    outputs: dict[str, AnyArray] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    compared: int = 0


class Device(Protocol):
    """One chip. Every method may be called from any thread.

    Events are delivered one at a time, in order of time, on whichever thread advances the device.
    A handler may call `submit`, `cancel` and `now_ns`; it must not block.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this device is; never changes."""

    @property
    def failure(self) -> str:
        """Why this device works no more; empty as long as it does."""

    def read(self, path: Path) -> tuple[ModelInfo, ...]:
        """What a model file holds, completely checked; nothing of it stays open.

        Raises:
            ModelFormatError: not a file that this device can run.
            InputError: it cannot be read.
        """

    def open(self, path: Path, model: str) -> int:
        """Make one model of a file ready to run and return its handle.

        Calls for different models may run at the same time. The file may be removed afterwards.

        Raises:
            CapacityError: no memory for it.
            ModelFormatError: it cannot run here.
            InputError: the file cannot be read.
        """

    def release(self, handle: int) -> None:
        """Forget a model; its tasks must have ended."""

    def submit(
        self,
        handle: int,
        inputs: Inputs | None,
        control: TaskControl,
        on_event: OnEvent,
        every_event: bool = True,
        turn: int = 0,
    ) -> int:
        """Queue one frame and return its task id, unique on the device.

        Args:
            inputs: of all inputs of the model, already checked; their arrays must not change before
                the task ends. None: only the time of the frame matters,
                there will be no outputs.
            every_event: False asks only for PARKED and the final event, which says when the task
                started. The final event always comes; which others do is in `capabilities`.
            turn: among equal priorities the smaller one goes first, before `custom_id` and arrival:
                what makes clients equal. A device that cannot do that ignores it.

        Raises:
            DeviceFault: the device works no more.
        """

    def outputs(self, task: int, stop: Stop | None = None) -> dict[str, AnyArray]:
        """Outputs of a task that is DONE, by name, read-only; they can be taken once.

        The device may keep them and give them again, so nobody may write to them.

        Args:
            stop: when a device that computes them only now has to end.

        Raises:
            DeviceFault: the computation failed, or the task has no outputs.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`.
        """

    def cancel(self, task: int) -> None:
        """Take a task back: the running function call completes, the rest is dropped.

        A CANCELLED event follows unless the task ends first. Unknown or ended tasks are ignored.
        """

    def wait(self, done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Block until `done()` holds and return True; False after `timeout_s` of wall time.

        A device with virtual time also returns False when nothing is left to happen.

        Raises:
            DeviceFault: the device works no more.
        """

    def now_ns(self) -> int:
        """Device time: monotonic nanoseconds."""

    def close(self) -> None:
        """Stop; tasks that have not ended stay so."""


@runtime_checkable
class Plans(Protocol):
    """A device that knows the course of a frame in advance."""

    def plan(self, handle: int) -> TaskPlan:
        """The steps of one frame of an open model."""


@runtime_checkable
class Observes(Protocol):
    """A device that tells what its cores do."""

    def cores(self) -> tuple[CoreState, ...]:
        """State of the BPU cores now."""

    def activity(self, mark: int) -> Activity:
        """State of the cores and the function calls since `mark`, taken at one instant.

        Args:
            mark: `Activity.mark` of an earlier answer; 0: since the start; -1: none of the past.
        """


@runtime_checkable
class Inspects(Protocol):
    """A device that shows the arrays inside a model."""

    def inspect(
        self, handle: int, inputs: Inputs, exact: bool, stop: Stop | None = None
    ) -> tuple[PartValues, ...]:
        """Run one frame outside of time and return the arrays between its parts.

        Args:
            exact: run the instructions too and compare with the fast path.
            stop: when it has to end.

        Raises:
            DeviceFault: `exact` found a difference; the message names segment and tensor.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`.
        """


@runtime_checkable
class Computes(Protocol):
    """A device whose numbers a program computes."""

    def engine(self) -> EngineInfo:
        """The engine that computes them.

        Raises:
            UsageError: the user asks for one that this computer does not have.
        """


@runtime_checkable
class Lags(Protocol):
    """A device whose time should follow the wall clock and may fail to."""

    @property
    def late_ns(self) -> int:
        """Device time lost since the start."""


def late_ns_of(device: Device) -> int:
    """Device time that a device has lost; 0 of one that always keeps up."""
    return device.late_ns if isinstance(device, Lags) else 0


def engine_of(device: Device) -> EngineInfo:
    """The engine of a device; without a name if it has none. Raises as `Computes.engine`."""
    return device.engine() if isinstance(device, Computes) else EngineInfo()
