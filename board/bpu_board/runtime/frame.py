"""A frame: one inference, from its acceptance by the runtime until its result is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from bpu_board.device import Inputs, OnEvent
from bpu_board.profiler.counters import ModelCounters
from bpu_common.perf import InferResult
from bpu_common.shares import OWN
from bpu_common.stop import Stop
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind

OnFinal: TypeAlias = "Callable[[Frame], None]"


class Carrier(Protocol):
    """What a frame needs of its dispatcher."""

    def take(self, frame: Frame, event: TaskEvent) -> None:
        """What the device tells of it."""

    def cancel(self, frame: Frame, deadline_missed: bool = False) -> None:
        """See `Frame.cancel`."""

    def result(self, frame: Frame, timeout_s: float | None) -> InferResult:
        """See `Frame.result`."""


class Frame:
    """One inference on its way, and what has become of it. Written by its dispatcher only.

    Attributes:
        inputs: checked; None: only its time matters, and there is no result to take.
        client: whose it is, as far as places and turns go.
        turn: what the queue gives it for the device.
        final: its final event kind, None while it is on its way.
        task: the device's id for it, -1 before it is there.
        detail: why it FAILED.
        placed: it was handed to the device.
        cancel_wanted: its caller took it back while it was under way.
        deadline_missed: its caller took it back because its deadline had passed.
        stop: ends the computation of its outputs; None until somebody waits for them.
        ended: set when it has ended; None until somebody waits for that.
        on_final: called once with the frame, on the thread that advances the device.
        listener: gets every event of the device's task.
        on_event: what the device is given to tell of it.
    """

    __slots__ = (
        "_dispatcher", "cancel_wanted", "client", "control", "counters", "deadline_missed",
        "detail", "done_ns", "ended", "final", "handle", "inputs", "listener", "on_event",
        "on_final", "placed", "started_ns", "stop", "submitted_ns", "task", "turn",
    )  # fmt: skip

    def __init__(
        self,
        dispatcher: Carrier,
        handle: int,
        inputs: Inputs | None,
        control: TaskControl,
        counters: ModelCounters,
        client: str = OWN,
    ) -> None:
        self._dispatcher = dispatcher
        self.client = client
        self.turn = 0
        self.on_event = partial(dispatcher.take, self)
        self.handle = handle
        self.inputs = inputs
        self.control = control
        self.counters = counters
        self.on_final: OnFinal | None = None
        self.listener: OnEvent | None = None
        self.task = -1
        self.submitted_ns = 0
        self.started_ns = 0
        self.done_ns = 0
        self.final: TaskEventKind | None = None
        self.detail = ""
        self.cancel_wanted = False
        self.deadline_missed = False
        self.placed = False
        self.stop: Stop | None = None
        self.ended: threading.Event | None = None

    def again(self) -> None:
        """Make it ready for another submission: it has ended, and nobody takes its result."""
        self.final = None
        self.task = -1
        self.detail = ""
        self.placed = self.cancel_wanted = self.deadline_missed = False

    @property
    def awaited(self) -> bool:
        """Somebody waits for its result, or takes it."""
        return self.stop is not None

    @property
    def done(self) -> bool:
        """It has ended on the device, one way or another."""
        return self.final is not None

    @property
    def late(self) -> bool:
        """Done after its deadline."""
        deadline_ns = self.control.deadline_ns
        return deadline_ns is not None and self.done_ns > deadline_ns

    def cancel(self, deadline_missed: bool = False) -> None:
        """Take it back; `result` then raises `Cancelled` unless it has its outputs already.

        A frame is alive until its result was taken or it was taken back, so a caller who does not
        want the result of a frame any more calls this.

        Args:
            deadline_missed: it is counted among the missed deadlines, not among the cancelled.
        """
        self._dispatcher.cancel(self, deadline_missed)

    def result(self, timeout_s: float | None = None) -> InferResult:
        """Wait for the end and return the outputs, which are read-only; call it once.

        Args:
            timeout_s: wall time to wait at most; when it is over the frame is cancelled, and
                counted as a missed deadline if it has one.

        Raises:
            DeadlineExceeded: `timeout_s` passed, or the frame's deadline passed before its start.
            Cancelled: it was taken back.
            DeviceFault: it failed.
            CapacityError: its outputs need more memory or time than they may have.
        """
        return self._dispatcher.result(self, timeout_s)
