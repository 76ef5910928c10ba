"""The runtime: what a board does, for the agent and for the commands on the board itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from bpu_board.device import Device, SegmentValues
from bpu_board.profiler.eventlog import EventLog
from bpu_board.profiler.sampler import Sampler, Watch
from bpu_board.runtime.dispatcher import Dispatcher, Job
from bpu_board.runtime.inputs import check_inputs, random_inputs
from bpu_board.runtime.loads import Loads
from bpu_board.runtime.perf import OnProgress, PerfLoop
from bpu_board.runtime.session import Session, Sessions
from bpu_board.runtime.store import ModelStore
from bpu_common.board import ModelEntry
from bpu_common.errors import (
    Cancelled,
    DeadlineExceeded,
    DeviceFault,
    UsageError,
)
from bpu_common.inference import ModelTotals
from bpu_common.load import LoadRequest, LoadState
from bpu_common.model import BpuModel
from bpu_common.perf import InferResult, PerfRequest, PerfResult
from bpu_common.task import PRIORITY_HIGHEST, PRIORITY_LOWEST, TaskControl, TaskEventKind
from bpu_common.telemetry import TelemetryFrame
from bpu_common.tensor import AnyArray


class Pending:
    """One frame on its way."""

    def __init__(self, device: Device, dispatcher: Dispatcher, session: Session, job: Job) -> None:
        self._device = device
        self._dispatcher = dispatcher
        self._session = session
        self._job = job

    @property
    def done(self) -> bool:
        """It has ended, one way or another."""
        return self._job.final is not None

    def cancel(self, deadline_missed: bool = False) -> None:
        """Take it back; `result` then raises `Cancelled` unless it was done before.

        Args:
            deadline_missed: it is counted among the missed deadlines, not among the cancelled.
        """
        self._dispatcher.cancel(self._job, deadline_missed)

    def result(self, timeout_s: float | None = None) -> InferResult:
        """Wait for the end and return the outputs; call it once.

        Args:
            timeout_s: wall time to wait at most; when it is over the frame is cancelled, and
                counted as a missed deadline if it has one.

        Raises:
            DeadlineExceeded: `timeout_s` passed, or the frame's deadline passed before its start.
            Cancelled: it was taken back.
            DeviceFault: it failed.
        """
        job, name = self._job, self._session.model.name
        if not self._dispatcher.wait(job, timeout_s):
            self.cancel(deadline_missed=job.control.deadline_ns is not None)
            raise DeadlineExceeded(
                f"model {name} gave no result within {timeout_s:g} s; the frame was cancelled",
                hint="allow more time, or give the frame a higher priority",
            )
        if job.final is TaskEventKind.EXPIRED:
            raise DeadlineExceeded(
                f"the deadline of a frame of model {name} passed before it was started",
                hint="the board is busy: allow more time, or give the frame a higher priority",
            )
        if job.final is TaskEventKind.CANCELLED:
            raise Cancelled(f"a frame of model {name} was cancelled")
        if job.final is TaskEventKind.FAILED:
            raise DeviceFault(f"a frame of model {name} failed: {job.detail or 'no reason given'}")
        outputs = self._device.outputs(job.device_task)
        return InferResult(
            model=name,
            task=job.device_task,
            outputs=outputs,
            submitted_ns=job.submitted_ns,
            started_ns=job.started_ns,
            done_ns=job.done_ns,
            late=job.late,
        )


class Runtime:
    """Models, queue and measurements on one device; every method may be called from any thread.

    A model is named by its name, by its digest, or by `digest/name`; one that is in the store is
    loaded on first use.
    """

    def __init__(self, device: Device, store: ModelStore | None = None) -> None:
        self.device = device
        self.store = store
        self._log = EventLog()
        self._sessions = Sessions(device, store, self._log)
        self._dispatcher = Dispatcher(device, log=self._log)
        self._loads = Loads(device, self._dispatcher, self._log)
        self._sampler = Sampler(device, self._log)
        self._watch = self._sampler.watch()

    def install(self, models: Sequence[BpuModel], digest: str = "") -> tuple[str, ...]:
        """Load models that are in memory and return their names.

        Raises:
            UsageError: a model of the same name is loaded.
        """
        return tuple(s.model.name for s in self._sessions.install(models, digest))

    def load(self, model: str) -> tuple[BpuModel, ...]:
        """Load a model, or all models of a file when a digest is given.

        Raises:
            ModelNotFound: it is neither loaded nor in the store.
        """
        return tuple(session.model for session in self._sessions.load(model))

    def unload(self, model: str) -> None:
        """Give a model's memory back; it stays in the store.

        Raises:
            ModelNotFound: unknown.
            UsageError: its tasks are alive.
        """
        self._sessions.unload(model)

    def remove(self, model: str) -> None:
        """Unload the file that holds a model and delete it from the store.

        Raises:
            ModelNotFound: not in the store.
            UsageError: tasks of it are alive.
        """
        if self.store is None:
            raise UsageError("this runtime has no store to remove a model from")
        stored = self.store.find(model)
        self._sessions.unload(stored.digest)
        self.store.remove(stored.digest)
        self._log.info(self.device.now_ns(), f"{', '.join(stored.names)} removed")

    def list(self) -> tuple[ModelEntry, ...]:
        """Every model that can be run."""
        return self._sessions.entries()

    def info(self, model: str) -> BpuModel:
        """The model itself: inputs, outputs, segments, parameters.

        Raises:
            ModelNotFound: unknown.
        """
        return self._sessions.get(model).model

    def submit(
        self,
        model: str,
        inputs: Mapping[str, AnyArray],
        control: TaskControl = TaskControl(),  # noqa: B008  frozen
    ) -> Pending:
        """Check the inputs and queue one frame; the arrays must not change until its result.

        Raises:
            ModelNotFound: unknown model.
            InputError: an array does not fit.
            UsageError: core or priority out of range.
            CapacityError: too many tasks are alive.
        """
        session = self._sessions.get(model)
        self._check_control(control)
        checked = check_inputs(session.model, inputs)
        job = Job(session.handle, checked, control, session.counters)
        self._dispatcher.submit(job)
        return Pending(self.device, self._dispatcher, session, job)

    def infer(
        self,
        model: str,
        inputs: Mapping[str, AnyArray],
        control: TaskControl = TaskControl(),  # noqa: B008  frozen
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run one frame and wait for it: `submit` and `Pending.result` in one."""
        return self.submit(model, inputs, control).result(timeout_s)

    def inspect(
        self, model: str, inputs: Mapping[str, AnyArray], exact: bool = False
    ) -> tuple[SegmentValues, ...]:
        """Run one frame outside of time; returns the arrays between the segments.

        Raises:
            InputError: an array does not fit.
            DeviceFault: `exact` and the instructions gave something else than the fast path.
        """
        session = self._sessions.get(model)
        return self.device.inspect(session.handle, check_inputs(session.model, inputs), exact)

    def perf(
        self,
        request: PerfRequest,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
    ) -> PerfResult:
        """Measure a model in a closed loop; see `bpu_common.perf` for what is asked and answered.

        The numbers of the frame are computed once before the first submit, which shows that the
        model runs; then the time of every frame passes on the device.

        Args:
            on_progress: called on this thread, once per 200 frames and at the end.
            stop: set it to end the run early.

        Raises:
            ModelNotFound, InputError, UsageError: the request cannot be carried out.
            CapacityError: other callers fill the queue.
            DeviceFault: a frame failed, or `exact` found a difference.
            Cancelled: `stop` was set.
        """
        session = self._sessions.get(request.model)
        self._check_control(TaskControl(core_id=request.core_id, priority=request.priority))
        inputs = request.inputs or random_inputs(session.model)
        self.device.inspect(session.handle, check_inputs(session.model, inputs), request.exact)
        loop = PerfLoop(self.device, self._dispatcher, session.handle, session.counters, request)
        return loop.run(on_progress, stop)

    def start_load(self, request: LoadRequest) -> LoadState:
        """Let the board make frames of a model by itself until `stop_load`; see `LoadRequest`.

        Only their time passes on the device; no numbers are computed.

        Raises:
            ModelNotFound, UsageError: the request cannot be carried out.
            CapacityError: too many loads.
        """
        self._check_control(TaskControl(core_id=request.core_id, priority=request.priority))
        session = self._sessions.get(request.model)
        return self._loads.start(request, session.handle, session.counters)

    def stop_load(self, name: str) -> LoadState:
        """End a load; its frames in flight are cancelled. Returns its last state.

        Raises:
            UsageError: no load of this name.
        """
        return self._loads.stop(name)

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that run, oldest first."""
        return self._loads.states()

    def watch(self) -> Watch:
        """One more reader of `telemetry` with a position of its own in calls and log."""
        return self._sampler.watch(now=True)

    def telemetry(self, watch: Watch | None = None) -> TelemetryFrame:
        """The whole visible state now; calls and log lines since the last frame of this watch."""
        return self._sampler.frame(
            watch or self._watch,
            self._dispatcher.queue_sample(),
            self._sessions.counters(),
            self._dispatcher.locked(),
        )

    def totals(self) -> tuple[ModelTotals, ...]:
        """Cumulative figures of the loaded models."""
        offset_ns = time.time_ns() - self.device.now_ns()
        with self._dispatcher.locked():
            return tuple(each.totals(offset_ns) for each in self._sessions.counters())

    @property
    def boot_id(self) -> str:
        """Random id of this run of the runtime, as in telemetry frames."""
        return self._sampler.boot_id

    def close(self) -> None:
        """Stop loads and the device."""
        self._loads.close()
        self.device.close()

    def _check_control(self, control: TaskControl) -> None:
        cores = self.device.capabilities.core_count
        if not 0 <= control.core_id <= cores:
            raise UsageError(
                f"core_id {control.core_id} is not in [0,{cores}]",
                hint="0 is any core, 1 is core 0, 2 is core 1",
            )
        if not PRIORITY_LOWEST <= control.priority <= PRIORITY_HIGHEST:
            raise UsageError(
                f"priority {control.priority} is not in [{PRIORITY_LOWEST},{PRIORITY_HIGHEST}]"
            )
