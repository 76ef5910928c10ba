"""The simulated chip behind the device seam.

Time comes from `bpu_sim.device`: every frame takes its course, contention included. Numbers come
from `bpu_board.devices.numbers`, once per distinct input, when somebody asks for the outputs;
computing them takes no device time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bpu_board.device import Activity, Capabilities, CoreState, Inputs, OnEvent, PartValues
from bpu_board.devices.binary import read_models
from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container
from bpu_common.board import ModelInfo
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.engine import EngineInfo
from bpu_common.errors import DeviceFault, ModelFormatError, UsageError
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel
from bpu_common.stop import Stop
from bpu_common.task import FINAL_KINDS, TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_common.telemetry import MAX_SLICES
from bpu_common.tensor import AnyArray, InputSource
from bpu_sim.device import Chip, ChipSample, PacedClock, VirtualClock
from bpu_sim.timing import task_plan

_POLL_S = 0.001
_FIRST_SLICE_NS = 100_000
_LAST_SLICE_NS = 20_000_000
_KEPT_RESULTS = 256


class _Loaded:
    """One model: its plan, and what computes it."""

    __slots__ = ("numbers", "plan")

    def __init__(self, plan: TaskPlan, numbers: ModelNumbers) -> None:
        self.plan = plan
        self.numbers = numbers


class _Task:
    """Passes one task's events on and keeps its inputs for whoever wants its outputs."""

    __slots__ = ("_device", "_on_event", "inputs", "loaded")

    def __init__(
        self, device: SimDevice, loaded: _Loaded, inputs: Inputs | None, on_event: OnEvent
    ) -> None:
        self._device = device
        self.loaded = loaded
        self.inputs = inputs
        self._on_event = on_event

    def take(self, event: TaskEvent) -> None:
        """What the chip delivers; a final event goes on to the caller last."""
        ended = event.kind in FINAL_KINDS
        if ended:
            self._device.keep(self, event)
        self._on_event(event)
        if ended:
            self._device.wake()


class SimDevice:
    """One chip of `spec`. See `bpu_board.device.Device` for the methods.

    Args:
        clock: virtual (default) or paced.
        threads: onnxruntime's threads within one operator; 0: as many as this computer has CPUs.
        cache: where engines remember what they proved of a file; None: the user's folder.
    """

    def __init__(
        self,
        spec: MachineSpec,
        clock: VirtualClock | PacedClock | None = None,
        threads: int = 0,
        cache: Path | None = None,
    ) -> None:
        self._spec = spec
        self._cache = cache
        self._clock = VirtualClock() if clock is None else clock
        self._threads = threads or os.cpu_count() or 1
        self._chip = Chip(spec, self._clock)
        self._lock = threading.Lock()
        self._driving = threading.Lock()
        self._changed = threading.Condition()
        self._models: dict[int, _Loaded] = {}
        self._next_handle = 1
        self._finished: dict[int, _Task] = {}
        self._capabilities = Capabilities(
            machine=spec.name,
            core_count=spec.cores,
            clock_hz=spec.clock_hz,
            step_times=True,
            preemption_visible=True,
            device=DeviceKind.SIMULATED,
            clock=Clock.VIRTUAL if isinstance(self._clock, VirtualClock) else Clock.PACED,
        )
        self._paced = not self._capabilities.virtual_time
        self._chip.start()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def failure(self) -> str:
        return self._chip.failure

    @property
    def late_ns(self) -> int:
        return self._chip.late_ns

    def read(self, path: Path) -> tuple[ModelInfo, ...]:
        return read_models(path)

    def open(self, path: Path, model: str) -> int:
        for each in container.load(path):
            if each.name == model:
                identity = f"{container.digest(path)}/{model}".encode()
                return self.load(each, container.digest(identity))
        raise ModelFormatError(f"the file holds no model {model!r}", where=str(path))

    def load(self, model: BpuModel, digest: str = "") -> int:
        """As `open`, for a model that is in memory.

        Args:
            digest: identity of the model in its file, under which the engine remembers what it
                proved of it; empty: nothing is remembered.
        """
        for each in model.inputs:
            if each.source is InputSource.RESIZER:
                raise ModelFormatError(
                    f"input {each.tensor.name!r} of model {model.name} comes from the resizer, "
                    "which the simulated chip does not have",
                    hint="compile the model with another input_source",
                )
        loaded = _Loaded(
            task_plan(model, self._spec),
            ModelNumbers(model, self._threads, digest, self._cache, contained=True),
        )
        with self._lock:
            handle = self._next_handle
            self._next_handle += 1
            self._models[handle] = loaded
        return handle

    def release(self, handle: int) -> None:
        with self._lock:
            self._models.pop(handle, None)

    def plan(self, handle: int) -> TaskPlan:
        return self._loaded(handle).plan

    def submit(
        self,
        handle: int,
        inputs: Inputs | None,
        control: TaskControl,
        on_event: OnEvent,
        every_event: bool = True,
        turn: int = 0,
    ) -> int:
        loaded = self._models.get(handle) or self._loaded(handle)
        if inputs is not None or self._paced:
            on_event = _Task(self, loaded, inputs, on_event).take
        return self._chip.submit(loaded.plan, control, on_event, every_event=every_event, turn=turn)

    def outputs(self, task: int, stop: Stop | None = None) -> dict[str, AnyArray]:
        with self._lock:
            ended = self._finished.pop(task, None)
        if ended is None or ended.inputs is None:
            raise DeviceFault(f"task {task} has no outputs (not done, or taken already)")
        return ended.loaded.numbers.outputs(ended.inputs, stop)

    def keep(self, task: _Task, event: TaskEvent) -> None:
        """A final event arrived: outputs may be asked for."""
        if task.inputs is not None and event.kind is TaskEventKind.DONE:
            with self._lock:
                self._finished[event.task] = task
                while len(self._finished) > _KEPT_RESULTS:  # nobody asked for the oldest
                    del self._finished[next(iter(self._finished))]

    def wake(self) -> None:
        """Who waits for a paced chip looks again."""
        if self._paced:
            with self._changed:
                self._changed.notify_all()

    def cancel(self, task: int) -> None:
        self._chip.cancel(task)

    def wait(self, done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        if self._paced:
            return self._wait_paced(done, ends)
        slice_ns = _FIRST_SLICE_NS
        while not done():
            self._check_works()
            if ends is not None and time.monotonic() >= ends:
                return False
            if not self._driving.acquire(timeout=_POLL_S):
                continue  # another thread lets the time pass, for this task too
            try:
                if done():
                    break
                if not self._chip.alive:
                    return False
                self._chip.run_until(self._chip.now_ns() + slice_ns)
            finally:
                self._driving.release()
            slice_ns = min(2 * slice_ns, _LAST_SLICE_NS)
        return True

    def run_until(self, time_ns: int) -> None:
        """Let virtual time pass up to `time_ns` (a paced device: wait for it)."""
        with self._driving:
            self._chip.run_until(time_ns)

    def now_ns(self) -> int:
        return self._chip.now_ns()

    def cores(self) -> tuple[CoreState, ...]:
        return self._cores(self._chip.sample())

    def activity(self, mark: int) -> Activity:
        if mark < 0:
            mark = self._chip.mark
        sample, calls = self._chip.activity(mark, MAX_SLICES)
        cores = self._cores(sample)
        return Activity(sample.time_ns, cores, calls.slices, calls.dropped, calls.mark)

    def _cores(self, sample: ChipSample) -> tuple[CoreState, ...]:
        return tuple(
            CoreState(
                index=core,
                busy_ns=sample.core_busy_ns[core],
                calls_done=sample.core_calls[core],
                preemptions=sample.preemptions[core],
                task=running[0] if running else -1,
                model=sample.models[core],
                call=running[1] if running else -1,
                ddr_bytes=sample.core_ddr_bytes[core],
                ddr_wait_ns=sample.core_ddr_wait_ns[core],
            )
            for core, running in enumerate(sample.running)
        )

    def inspect(
        self, handle: int, inputs: Inputs, exact: bool, stop: Stop | None = None
    ) -> tuple[PartValues, ...]:
        return self._loaded(handle).numbers.inspect(inputs, exact, stop)

    def engine(self) -> EngineInfo:
        from bpu_sim.kernels.choice import choose_engine  # loads and tests the kernels

        return choose_engine().about

    def close(self) -> None:
        self._chip.close()
        with self._changed:
            self._changed.notify_all()

    def _check_works(self) -> None:
        if self._chip.failure:
            raise DeviceFault(self._chip.failure)

    def _loaded(self, handle: int) -> _Loaded:
        loaded = self._models.get(handle)
        if loaded is None:
            raise UsageError(f"no model with handle {handle} is loaded on this device")
        return loaded

    def _wait_paced(self, done: Callable[[], bool], ends: float | None) -> bool:
        """Look again after each final event, and now and then."""
        with self._changed:
            while not done():
                self._check_works()
                left_s = 0.05 if ends is None else min(0.05, ends - time.monotonic())
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
        return True
