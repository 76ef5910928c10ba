"""How near a set of thresholds keeps the model's outputs, estimated on one sample.

The float graph is run with every quantized activation rounded to its 8-bit grid and every
convolution's weights rounded per output channel: the errors of quantization without its integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from bpu_common.tensor import AnyArray
from bpu_host.compiler.calibrate.samples import Sample
from bpu_host.compiler.floatrun import FloatRunner
from bpu_host.compiler.quantize.metrics import cosine
from bpu_sim import arith

_STEPS = 127
_SCALE = "_trial_scale"
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}


class Trial:
    """Evaluates threshold sets on one sample against the float outputs.

    The scales are inputs of the rounding graph, so that one session serves all sets.

    Args:
        tensors: those that may have a threshold.
    """

    def __init__(
        self,
        model: ir.Model,
        sample: Sample,
        real: Sequence[AnyArray],
        tensors: Iterable[str],
    ) -> None:
        proto: onnx.ModelProto = ir.to_proto(model)
        integers = {n for n, array in sample.items() if np.array_equal(array, np.rint(array))}
        _round_weights(proto.graph)
        self._rounded = _round_activations(proto.graph, set(tensors) - integers)
        self._runner = FloatRunner(proto)
        self._sample = sample
        self._real = real

    def cosine(self, thresholds: Mapping[str, float]) -> float:
        """Mean cosine similarity of the model's outputs with the float ones.

        A tensor without threshold, or with 0, is zero for every sample: any scale does for it.
        """
        scales = {
            f"{name}{_SCALE}": np.array((thresholds.get(name) or _STEPS) / _STEPS, np.float32)
            for name in self._rounded
        }
        outputs = self._runner.run({**self._sample, **scales})
        pairs = zip(outputs.values(), self._real, strict=True)
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


def _round_activations(graph: onnx.GraphProto, tensors: set[str]) -> tuple[str, ...]:
    """Put QuantizeLinear and DequantizeLinear behind all of `tensors` that are no outputs.

    Returns:
        The names of these; the scale of each is an input of the graph.
    """
    renamed: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    kept = {output.name for output in graph.output}
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.int8), "trial_zero"))

    def round_off(name: str) -> None:
        if name not in tensors or name in kept:
            return
        codes, real = f"{name}_trial_codes", f"{name}_trial"
        extra = [f"{name}{_SCALE}", "trial_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *extra], [codes]))
        nodes.append(helper.make_node("DequantizeLinear", [codes, *extra], [real]))
        renamed[name] = real

    for item in list(graph.input):
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
    graph.input.extend(
        helper.make_tensor_value_info(f"{name}{_SCALE}", onnx.TensorProto.FLOAT, [])
        for name in renamed
    )
    return tuple(renamed)
