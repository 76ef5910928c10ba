"""A stand-in for a vendor's library: files of its own form, and no more than a device must do.

A file is JSON: a list of models, each a name and a factor; a model multiplies its input by it. The
"chip" is one thread that takes frames in turn. It cannot tell plans, cores, calls or inner arrays.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bpu_board.device import Capabilities, Inputs, OnEvent
from bpu_common.board import ModelInfo
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import DeviceFault, ModelFormatError
from bpu_common.stop import Stop
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind
from bpu_common.tensor import AnyArray, DType, InputType, Layout, ModelInput, TensorSpec

SHAPE = (1, 4)


def vendor_file(**factors: float) -> bytes:
    """A file that holds these models."""
    return json.dumps(
        [{"name": name, "factor": factor} for name, factor in factors.items()]
    ).encode()


class VendorDevice:
    """See `bpu_board.device.Device`."""

    def __init__(self) -> None:
        self._models: dict[int, tuple[str, float]] = {}
        self._outputs: dict[int, dict[str, AnyArray]] = {}
        self._cancelled: set[int] = set()
        self._tasks = 0
        self._changed = threading.Condition()
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("vendor", 1, 10**9, False, False, DeviceKind.CHIP, Clock.REAL)

    @property
    def failure(self) -> str:
        return ""

    def read(self, path: Path) -> tuple[ModelInfo, ...]:
        return tuple(_info(name) for name in _models(path))

    def open(self, path: Path, model: str) -> int:
        handle = len(self._models) + 1
        self._models[handle] = (model, _models(path)[model])
        return handle

    def release(self, handle: int) -> None:
        del self._models[handle]

    def submit(
        self,
        handle: int,
        inputs: Inputs | None,
        control: TaskControl,
        on_event: OnEvent,
        every_event: bool = True,
        turn: int = 0,
    ) -> int:
        model, factor = self._models[handle]
        with self._changed:
            self._tasks += 1
            task = self._tasks

        def work() -> None:
            kind = TaskEventKind.CANCELLED if task in self._cancelled else TaskEventKind.DONE
            if inputs is not None:
                array = inputs["x"].array * np.float32(factor)
                array.flags.writeable = False
                self._outputs[task] = {"y": array}
            on_event(TaskEvent(self.now_ns(), kind, task, model))

        self._work.put(work)
        return task

    def outputs(self, task: int, stop: Stop | None = None) -> dict[str, AnyArray]:
        del stop
        try:
            return self._outputs.pop(task)
        except KeyError:
            raise DeviceFault(f"task {task} has no outputs") from None

    def cancel(self, task: int) -> None:
        self._cancelled.add(task)

    def wait(self, done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(done, timeout_s)

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def close(self) -> None:
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._changed:
                self._changed.notify_all()


def _models(path: Path) -> dict[str, float]:
    try:
        return {each["name"]: float(each["factor"]) for each in json.loads(path.read_bytes())}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(f"not a file of the vendor: {error}", where=str(path)) from None


def _info(name: str) -> ModelInfo:
    x = ModelInput(TensorSpec("x", SHAPE, DType.FLOAT32), InputType.FEATUREMAP, Layout.NONE)
    y = TensorSpec("y", SHAPE, DType.FLOAT32)
    return ModelInfo(name, "vendor-march", "vendor", (x,), (y,), parts=())
