"""The calibrated model: the optimized float graph with a fake quantization at each threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from bpu_common.tensor import F64, AnyArray
from bpu_host.compiler.weights import array_of, bare_proto, serialized
from bpu_sim import arith
from bpu_sim.engines.onnx.emitter import HORIZON, IR_VERSION, Attr, Emitter, function

OPERATOR = "HzCalibration"


class Thresholds(Protocol):
    """What is read of a calibration."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Threshold of each activation by tensor name; 0 where it never left zero."""

    @property
    def method(self) -> str:
        """How they were chosen."""


def calibrated_model(model: ir.Model, calibration: Thresholds) -> bytes:
    """ONNX bytes: `<t>_HzCalibration` nodes quantize and dequantize activations and weights.

    Every consumer of a calibrated tensor `t` reads `<t>_calibrated`; graph outputs stay float.
    Thresholds of tensors that the float graph does not hold are left out.
    """
    proto, constants = bare_proto(model)
    graph = proto.graph
    tensors: list[onnx.TensorProto] = list(graph.initializer)
    initializers = {each.name: each for each in tensors}
    weights = {
        node.input[1]: array_of(initializers[node.input[1]], constants)
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] in initializers
    }
    made = Emitter()
    renamed: dict[str, str] = {}
    held = {each.name for each in graph.input} | {y for node in graph.node for y in node.output}
    for name, threshold in calibration.thresholds.items():
        if threshold > 0 and name in held:
            renamed[name] = _add_calibration(made, name, np.array([threshold]), weight=False)
    for name, array in weights.items():
        renamed[name] = _add_calibration(made, name, _channel_thresholds(array), weight=True)
    added = [onnx.NodeProto.FromString(node) for node in made.nodes]
    after = {node.input[0]: node for node in added}
    sources = [each.name for each in graph.input] + [each.name for each in tensors]
    nodes = [after[name] for name in sources if name in after]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(node)
        nodes += [after[name] for name in node.output if name in after]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(onnx.TensorProto.FromString(each) for each in made.initializers)
    proto.functions.extend([_function(OPERATOR, None), _function(f"{OPERATOR}_weight", 0)])
    proto.opset_import.append(helper.make_opsetid(HORIZON, 1))
    proto.ir_version = IR_VERSION
    proto.metadata_props.add(key="calibration_method", value=calibration.method)
    return serialized(proto, constants)


def _channel_thresholds(weights: AnyArray) -> F64:
    """max|w| of each output channel."""
    thresholds: F64 = arith.weight_scales(weights.astype(np.float64)) * 127
    return thresholds


def _add_calibration(emitter: Emitter, name: str, thresholds: F64, *, weight: bool) -> str:
    """One node; returns the calibrated tensor's name."""
    node = f"{name}_{OPERATOR}"
    scales = (thresholds / 127).astype(np.float32)
    y_scale = emitter.initializer(f"{node}_y_scale", scales if weight else scales[0].reshape(()))
    output = f"{name}_calibrated"
    emitter.call(
        f"{OPERATOR}_weight" if weight else OPERATOR,
        [name, y_scale],
        output,
        name=node,
        domain=HORIZON,
        attrs={
            "qtype": "int8",
            "switch": "ON",
            "constant": int(weight),
            "thresholds": [float(v) for v in thresholds],
            "scales": [float(v) for v in scales],
            "axis": 0 if weight else 1,
        },
    )
    return output


def _function(name: str, axis: int | None) -> onnx.FunctionProto:
    """Quantize to int8 and back; with an axis, one scale a channel."""
    body = Emitter(prefix="b", inline=True)
    zero = body.const(0, "int8")
    if axis is not None:
        zero = body.add("Expand", zero, body.add("Shape", "y_scale"))
    attrs: dict[str, Attr] = {} if axis is None else {"axis": axis}
    codes = body.fresh()
    body.call("QuantizeLinear", ["data", "y_scale", zero], codes, attrs=attrs)
    body.call("DequantizeLinear", [codes, "y_scale", zero], "y", attrs=attrs)
    data = function(HORIZON, name, ["data", "y_scale"], "y", body)
    return onnx.FunctionProto.FromString(data)
