"""A float model as a placed model without calibration: time does not depend on values.

Every activation gets the same threshold, so the way from a model to its programs takes seconds.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from benchmarks.compiling import IMAGE
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler import emit, passes, rules, units
from bpu_host.compiler.config.model_inputs import fit_to_model
from bpu_host.compiler.config.values import CalibrationMethod, CompileConfig, InputConfig, resolve
from bpu_host.compiler.frontend import prepare, read
from bpu_host.compiler.quantize import lower

THRESHOLD = 4.0
_NUMBERS = InputConfig("", (), InputType.FEATUREMAP, Layout.NCHW, InputType.FEATUREMAP, Layout.NCHW)


@dataclass(frozen=True, slots=True)
class _Thresholds:
    thresholds: dict[str, float]


def placed(model: onnx.ModelProto, spec: MachineSpec, *, picture: bool = True) -> BpuModel:
    """The programs of `model` at O3, latency mode, for an nv12 picture or real numbers."""
    name = model.graph.name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        onnx.save(model, path)
        given = CompileConfig(
            path,
            name,
            Path(folder),
            (IMAGE if picture else _NUMBERS,),
            calibration_method=CalibrationMethod.MAX,
        )
        source = read(given)
        config = resolve(fit_to_model(given, source.dtypes, source.unread), source.inputs)
        graph = prepare(
            source.proto,
            source.file,
            {item.name: item.shape for item in config.inputs},
            config.output_nodes,
            output_nodes_at="",
            pictures=[item.name for item in config.inputs if picture],
            weights=source.weights,
        )
    graph = passes.original_float(graph, config.inputs)
    passes.optimize(graph)
    inputs = tuple(item.model_input() for item in config.inputs)
    placement = rules.place(units.recognise(graph, inputs))
    thresholds = _Thresholds(dict.fromkeys(placement.tensors, THRESHOLD))
    network = lower(placement, thresholds, name).network
    return emit.build_model(network, spec, emit.EmitOptions())
