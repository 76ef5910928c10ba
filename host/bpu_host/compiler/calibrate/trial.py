"""How near a set of thresholds keeps the model's outputs, estimated on one sample.

The float graph is run with every quantized activation rounded to its 8-bit grid and every
convolution's weights rounded per output channel: the errors of quantization without its integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from bpu_common.tensor import AnyArray
from bpu_host.compiler.calibrate.collect import float_session, run
from bpu_host.compiler.calibrate.samples import Sample
from bpu_host.compiler.quantize.metrics import cosine
from bpu_sim import arith

_STEPS = 127
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}


class Trial:
    """Evaluates threshold sets on one sample against the float outputs."""

    def __init__(self, model: ir.Model, sample: Sample, real: Sequence[AnyArray]) -> None:
        self._proto: onnx.ModelProto = ir.to_proto(model)
        self._sample = sample
        self._real = real
        self._integers = {
            name for name, array in sample.items() if np.array_equal(array, np.rint(array))
        }
        _round_weights(self._proto.graph)

    def cosine(self, thresholds: Mapping[str, float]) -> float:
        """Mean cosine similarity of the model's outputs with the float ones."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        kept = {n: t for n, t in thresholds.items() if n not in self._integers}
        _round_activations(proto.graph, kept)
        outputs = run(float_session(proto), self._sample, 1)
        pairs = zip(outputs, self._real, strict=True)
        return float(np.mean([cosine(a, b) for a, b in pairs]))


def _round_weights(graph: onnx.GraphProto) -> None:
    constants = {item.name: item for item in graph.initializer}
    done: set[str] = set()
    for node in graph.node:
        axis = _OUTPUT_AXIS.get(node.op_type)
        if axis is None or node.input[1] not in constants or node.input[1] in done:
            continue
        name = node.input[1]
        weights = np.moveaxis(numpy_helper.to_array(constants[name]).astype(np.float64), axis, 0)
        scales = arith.weight_scales(weights)
        codes = arith.quantize_weights(weights, scales)
        real = codes * scales.reshape(-1, *([1] * (weights.ndim - 1)))
        rounded = np.ascontiguousarray(np.moveaxis(real, 0, axis), np.float32)
        constants[name].CopyFrom(numpy_helper.from_array(rounded, name))
        done.add(name)


def _round_activations(graph: onnx.GraphProto, thresholds: Mapping[str, float]) -> None:
    """Put QuantizeLinear and DequantizeLinear behind every tensor that has a threshold."""
    renamed: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    kept = {output.name for output in graph.output}
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.int8), "trial_zero"))

    def round_off(name: str) -> None:
        if thresholds.get(name, 0.0) <= 0 or name in kept:
            return
        scale = np.array(thresholds[name] / _STEPS, np.float32)
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_trial_scale"))
        codes, real = f"{name}_trial_codes", f"{name}_trial"
        extra = [f"{name}_trial_scale", "trial_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *extra], [codes]))
        nodes.append(helper.make_node("DequantizeLinear", [codes, *extra], [real]))
        renamed[name] = real

    for item in graph.input:
        round_off(item.name)
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(copy)
        for name in node.output:
            round_off(name)
    del graph.node[:]
    graph.node.extend(nodes)
