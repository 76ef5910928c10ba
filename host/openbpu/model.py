"""A compiled model at work in this process: the board's numbers, without a board."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bpu_common import container
from bpu_common.board import ModelInfo, describe_model
from bpu_common.caller import describe
from bpu_common.device_kind import DeviceKind
from bpu_common.errors import UsageError
from bpu_common.frame import check_roi
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel
from bpu_common.pictures import Fit
from bpu_common.task import TaskControl, TaskEvent
from openbpu.inputs import Frame, Given, frame_inputs
from openbpu.results import Result, html_table

if TYPE_CHECKING:
    from bpu_sim.engines import Engine


class Model:
    """A model of a `.bin`; call it with the inputs of a frame. Any thread may.

    The numbers are those of the board, bit for bit. The time of a frame is modelled: that of one
    frame alone on an idle chip.

    Args:
        path: of the file.
        name: of the model in it; the only one by default.
        fit: how a picture of other proportions becomes the input's: `stretch`, `crop` or
            `letterbox`.
        threads: within one operator; 0: as many as this computer has CPUs.

    Raises:
        InputError: the file cannot be read.
        ModelFormatError: it is no valid model.
        UsageError: it holds no model of that name, or several and none is named.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "",
        fit: Fit = "stretch",
        threads: int = 0,
    ) -> None:
        self.path = Path(path)
        self.fit: Fit = fit
        self._threads = threads or os.cpu_count() or 1
        self._model = _named(container.load(self.path), name, self.path)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._model.name

    @cached_property
    def info(self) -> ModelInfo:
        """Inputs, outputs, parts and nodes."""
        return describe_model(self._model)

    @cached_property
    def latency_us(self) -> float:
        """Modelled time of one frame alone on an idle chip."""
        return _alone_ns(self._model) / 1e3

    def __call__(self, *inputs: Given) -> Result:
        """Run one frame.

        Args:
            inputs: one for each input of the model, in order: a path, a picture or an array.

        Raises:
            InputError: an input does not fit.
        """
        return self.infer(inputs)

    def infer(self, frame: Frame) -> Result:
        """Run one frame, given as a tuple, by name, or as the only input. Raises as `__call__`."""
        from bpu_sim.inputs import as_network_sees

        given = frame_inputs(frame, self._model.inputs, self.fit)
        for item in self._model.inputs:
            check_roi(self.name, item, given[item.tensor.name].roi)
        values = self._engine.run(
            {
                item.tensor.name: as_network_sees(given[item.tensor.name], item)
                for item in self._model.inputs
            }
        )
        outputs = {
            output.name: np.asarray(values[output.tensor], order="C")
            for output in self._model.network.outputs
        }
        return Result(self.name, outputs, self.latency_us, DeviceKind.SIMULATED)

    def batch(self, frames: Iterable[Frame]) -> list[Result]:
        """Run frames one after the other, each given as to `infer`."""
        return [self.infer(frame) for frame in frames]

    @property
    def _engine(self) -> Engine:
        with self._lock:
            return self._opened

    @cached_property
    def _opened(self) -> Engine:
        from bpu_sim.engines import open_engine  # loads onnxruntime

        identity = f"{container.digest(self.path)}/{self.name}".encode()
        engine, _ = open_engine(
            self._model.network,
            hints=self._model.hints,
            digest=hashlib.sha256(identity).hexdigest(),
            threads=self._threads,
            contained=True,
        )
        return engine

    def __repr__(self) -> str:
        machine = self._model.machine
        inputs = ", ".join(" ".join(row) for row in _inputs(self.info))
        outputs = ", ".join(" ".join(row) for row in _outputs(self.info))
        return f"<Model {self.name} for {machine}: {inputs} -> {outputs}>"

    def _repr_html_(self) -> str:
        rows = [["input", *row] for row in _inputs(self.info)]
        rows += [["output", *row] for row in _outputs(self.info)]
        return html_table(f"{self.name} for {self._model.machine}", ["", "name", "form"], rows)


def _named(models: tuple[BpuModel, ...], name: str, path: Path) -> BpuModel:
    """The model of a name; without one, the only model."""
    names = [each.name for each in models]
    if name and name not in names:
        raise UsageError(
            f"the file holds no model {name!r}",
            where=str(path),
            hint=f"it holds {', '.join(names)}",
        )
    if not name and len(models) != 1:
        raise UsageError(
            f"the file holds {len(models)} models",
            where=str(path),
            hint=f"say which: name={names[0]!r} (or another of {', '.join(names)})",
        )
    return models[names.index(name)] if name else models[0]


def _alone_ns(model: BpuModel) -> int:
    """Time of one frame on a chip that does nothing else."""
    from bpu_sim.device import Chip
    from bpu_sim.timing import task_plan

    spec, events = MACHINES[model.machine], list[TaskEvent]()
    chip = Chip(spec)
    chip.submit(task_plan(model, spec), TaskControl(), events.append, every_event=False, at_ns=0)
    chip.run_until_idle()
    return events[-1].time_ns


def _inputs(info: ModelInfo) -> list[list[str]]:
    return [[item.tensor.name, describe(item)] for item in info.inputs]


def _outputs(info: ModelInfo) -> list[list[str]]:
    return [
        [spec.name, f"{spec.dtype.value} {'x'.join(map(str, spec.shape))}"] for spec in info.outputs
    ]
