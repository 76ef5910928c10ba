"""The engines that must agree: each gives the outputs of a converted network for one frame.

An engine is a class with `run(frame) -> outputs by name`; adding one means adding it to `ENGINES`.
The first is what a user gets, and what the others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.image import network_input
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel
from bpu_common.tensor import AnyArray
from bpu_host.compiler.api import Compiled
from bpu_sim.machine import check_hazards
from tests.support.network_reference import run_network

Arrays = Mapping[str, AnyArray]


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A converted network, with the model read back from its file."""

    compiled: Compiled
    model: BpuModel
    runtime: Runtime

    @staticmethod
    def load(compiled: Compiled) -> Converted:
        """Open the `.bin` on a simulated board."""
        path = _product(compiled, ".bin")
        (model,) = container.load(path)
        runtime = Runtime(SimDevice(MACHINES[model.machine], threads=1))
        runtime.open(path)
        return Converted(compiled, model, runtime)

    @property
    def calls(self) -> int:
        """Function calls of all BPU parts."""
        return sum(len(made.program.calls) for made in self.model.programs.values())

    def network_frame(self, frame: Arrays) -> dict[str, AnyArray]:
        """The frame as the network sees it: pictures int8 (1, H, W, C), featuremaps float32."""
        seen = {}
        for each in self.model.inputs:
            array = frame[each.tensor.name]
            seen[each.tensor.name] = (
                network_input(array, each) if each.input_type.is_image else array
            )
        return seen


def _product(compiled: Compiled, ending: str) -> Path:
    (path,) = (path for path in compiled.files if path.name.endswith(ending))
    return path


class Engine(Protocol):
    """One way to compute a frame."""

    def __init__(self, converted: Converted) -> None: ...

    def run(self, frame: Arrays) -> Arrays: ...


class OnBoard:
    """The runtime, as a client of a board sees it."""

    def __init__(self, converted: Converted) -> None:
        self._converted = converted

    def run(self, frame: Arrays) -> Arrays:
        return self._converted.runtime.infer(self._converted.model.name, frame).outputs


class Instructions:
    """The programs, instruction by instruction; their order is proved first."""

    def __init__(self, converted: Converted) -> None:
        self._converted = converted
        for made in converted.model.programs.values():
            check_hazards(made.program)

    def run(self, frame: Arrays) -> Arrays:
        model = self._converted.model
        values: dict[str, AnyArray] = dict(frame)
        for segment in self._converted.runtime.inspect(model.name, frame, exact=True):
            values.update(segment.outputs)
        return {spec.name: values[spec.name] for spec in model.outputs}


class QuantizedOnnx:
    """`quantized_model.onnx` in stock onnxruntime."""

    def __init__(self, converted: Converted) -> None:
        self._converted = converted
        self._path = _product(converted.compiled, "quantized_model.onnx")
        self._session = self._opened()

    def run(self, frame: Arrays) -> Arrays:
        return self._outputs(self._session, frame)

    def wavers(self, frame: Arrays, output: str) -> bool:
        """Whether onnxruntime gives other bits for an output in two threads, or without fusions.

        Its float operators round by how work is shared and by what is fused: such an output has no
        one right value. What integer operators make never wavers.
        """
        first, *others = (
            self._outputs(session, frame)[output]
            for session in (self._session, self._opened(threads=2), self._opened(fused=False))
        )
        return any(not np.array_equal(first, other, equal_nan=True) for other in others)

    def _opened(self, threads: int = 1, *, fused: bool = True) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if not fused:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        return onnxruntime.InferenceSession(self._path, options)

    def _outputs(self, session: onnxruntime.InferenceSession, frame: Arrays) -> Arrays:
        names = [spec.name for spec in self._converted.model.outputs]
        made = session.run(names, self._converted.network_frame(frame))
        return dict(zip(names, made, strict=True))


class Reference:
    """The normative arithmetic over the quantized network; CPU parts are the board's."""

    def __init__(self, converted: Converted) -> None:
        self._converted = converted

    def run(self, frame: Arrays) -> Arrays:
        model, seen = self._converted.model, self._converted.network_frame(frame)
        known: dict[str, AnyArray] = {}
        for segment in self._converted.runtime.inspect(model.name, frame, exact=False):
            if segment.on == "CPU":
                known.update(segment.outputs)
        values = run_network(self._converted.compiled.network, seen, known)
        return {
            spec.name: np.asarray(values[spec.name]).reshape(spec.shape) for spec in model.outputs
        }


ENGINES: dict[str, type[Engine]] = {
    "board": OnBoard,
    "instructions": Instructions,
    "quantized ONNX": QuantizedOnnx,
    "reference": Reference,
}
