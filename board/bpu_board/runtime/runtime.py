"""The runtime: what a board does, for the agent and for the commands on the board itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bpu_board.device import Device, Inspects, PartValues, Plans
from bpu_board.profiler.eventlog import EventLog
from bpu_board.profiler.sampler import Sampler, Watch
from bpu_board.runtime.dispatcher import Dispatcher
from bpu_board.runtime.frame import Frame
from bpu_board.runtime.inputs import check_inputs, random_inputs
from bpu_board.runtime.loads import Loads
from bpu_board.runtime.perf import OnProgress, PerfLoop
from bpu_board.runtime.session import Sessions
from bpu_board.runtime.store import ModelStore
from bpu_common.board import ModelEntry, ModelInfo
from bpu_common.errors import UsageError
from bpu_common.frame import Given
from bpu_common.inference import ModelTotals
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfRequest, PerfResult
from bpu_common.shares import OWN
from bpu_common.stop import Stop
from bpu_common.task import PRIORITY_HIGHEST, PRIORITY_LOWEST, TaskControl
from bpu_common.telemetry import TelemetryFrame
from bpu_common.tensor import ModelInput


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

    def open(self, path: Path | str, model: str = "") -> tuple[ModelInfo, ...]:
        """Make the models of a file ready that is not in the store: the named one, or all.

        Raises:
            UsageError: a model of the same name is loaded.
            ModelNotFound: the file holds no model of this name.
            ModelFormatError, InputError: the device cannot run the file.
        """
        return tuple(session.info for session in self._sessions.open(Path(path), model))

    def load(self, model: str) -> tuple[ModelInfo, ...]:
        """Load a model, or all models of a file when a digest is given.

        Raises:
            ModelNotFound: it is neither loaded nor in the store.
        """
        return tuple(session.info for session in self._sessions.load(model))

    def is_open(self, model: str) -> bool:
        """Whether a frame of it can be submitted at once; never waits."""
        return self._sessions.is_open(model)

    def make_ready(self, model: str) -> None:
        """Open one model, if that has not been done.

        Raises:
            ModelNotFound: unknown model.
            UsageError: the word means several.
            ModelFormatError, ModelUnsupported, CapacityError, DeviceFault: it cannot run here.
        """
        self._sessions.get(model)

    def unload(self, model: str) -> None:
        """Give a model's memory back; it stays in the store.

        Raises:
            ModelNotFound: unknown.
            UsageError: its frames are alive.
        """
        self._sessions.unload(model)

    def remove(self, model: str) -> None:
        """Unload the file that holds a model and delete it from the store.

        Raises:
            ModelNotFound: not in the store.
            UsageError: frames of it are alive, or there is no store.
        """
        removed = self._sessions.remove(model)
        self._log.info(self.device.now_ns(), f"{', '.join(removed.names)} removed")

    def list(self) -> tuple[ModelEntry, ...]:
        """Every model that can be run."""
        return self._sessions.entries()

    def inputs(self) -> tuple[tuple[ModelInput, ...], ...]:
        """The inputs of each model that can be run; never waits."""
        return self._sessions.inputs()

    def info(self, model: str) -> ModelInfo:
        """What a model is: inputs, outputs, segments, parameters. It is not loaded for this.

        Raises:
            ModelNotFound: unknown.
        """
        return self._sessions.info(model)

    def submit(
        self,
        model: str,
        inputs: Given,
        control: TaskControl = TaskControl(),  # noqa: B008  frozen
        client: str = OWN,
    ) -> Frame:
        """Check the inputs and queue one frame; the arrays must not change until its result.

        It counts among the alive (at most 32) until its result is taken or it is cancelled.

        Args:
            client: among whose frames it counts; clients take turns and share the places.

        Raises:
            ModelNotFound: unknown model.
            InputError: an array does not fit.
            UsageError: core or priority out of range.
            CapacityError: too many frames are alive.
        """
        session = self._sessions.get(model)
        self._check_control(control)
        checked = check_inputs(session.info, inputs)
        frame = Frame(self._dispatcher, session.handle, checked, control, session.counters, client)
        self._dispatcher.submit(frame)
        return frame

    def infer(
        self,
        model: str,
        inputs: Given,
        control: TaskControl = TaskControl(),  # noqa: B008  frozen
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run one frame and wait for it: `submit` and `Frame.result` in one."""
        return self.submit(model, inputs, control).result(timeout_s)

    def inspect(self, model: str, inputs: Given, exact: bool = False) -> tuple[PartValues, ...]:
        """Run one frame outside of time; returns the arrays between the parts.

        Raises:
            InputError: an array does not fit.
            UsageError: the device cannot tell.
            DeviceFault: `exact` and the instructions gave something else than the fast path.
        """
        session = self._sessions.get(model)
        checked = check_inputs(session.info, inputs)
        if not isinstance(self.device, Inspects):
            raise _cannot_tell("the arrays between the parts of a model")
        return self.device.inspect(session.handle, checked, exact)

    def perf(
        self,
        request: PerfRequest,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        *,
        partial: bool = False,
        client: str = OWN,
    ) -> PerfResult:
        """Measure a model in a closed loop; see `bpu_common.perf` for what is asked and answered.

        On a device that shows its arrays the numbers of the frame are computed once before the
        first submit, which shows that the model runs. Then the time of every frame passes on it.

        Args:
            on_progress: called on this thread, once per 200 frames and at the end.
            stop: set it to end the run early.
            partial: a run that was ended early gives the result of the frames that are done.
            client: as of `submit`.

        Raises:
            ModelNotFound, InputError, UsageError: the request cannot be carried out, or asks for
                what the device cannot tell.
            CapacityError: other callers fill the queue.
            DeviceFault: a frame failed, or `exact` found a difference.
            Cancelled: `stop` was set, and `partial` was not or no frame is done.
        """
        session = self._sessions.get(request.model)
        self._check_control(TaskControl(core_id=request.core_id, priority=request.priority))
        inputs = request.inputs or random_inputs(session.info)
        checked = check_inputs(session.info, inputs)
        if isinstance(self.device, Inspects):
            measured = Stop(what=f"the measurement of model {request.model}", event=stop)
            self.device.inspect(session.handle, checked, request.exact, measured)
        elif request.exact:
            raise _cannot_tell("what the instructions of a model compute")
        if request.profile and not isinstance(self.device, Plans):
            raise _cannot_tell("the times of a model's nodes")
        loop = PerfLoop(
            self.device, self._dispatcher, session.handle, session.counters, request, client
        )
        return loop.run(on_progress, stop, partial=partial)

    def start_load(self, request: LoadRequest, client: str = OWN) -> LoadState:
        """Let the board make frames of a model by itself until `stop_load`; see `LoadRequest`.

        Only their time passes on the device; no numbers are computed. They count among the frames
        of `client`, as of `submit`.

        Raises:
            ModelNotFound, UsageError: the request cannot be carried out.
            CapacityError: too many loads.
        """
        self._check_control(TaskControl(core_id=request.core_id, priority=request.priority))
        session = self._sessions.get(request.model)
        return self._loads.start(request, session.handle, session.counters, client)

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

    def failure(self) -> str:
        """Why the device works no more; empty as long as it does.

        Frames that were under way when it stopped have failed after this call.
        """
        reason = self.device.failure
        if reason:
            self._dispatcher.fail_all(reason)
        return reason

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


def _cannot_tell(what: str) -> UsageError:
    return UsageError(f"this board's device cannot tell {what}")
