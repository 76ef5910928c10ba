"""A run of a quantized network, operation by operation: the oracle of every fast form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from bpu_common.network import (
    BPU_OPS,
    Dequantize,
    Network,
    OnnxOp,
    Operation,
    Quantize,
    tensors_made,
    tensors_read,
)
from bpu_sim import arith
from bpu_sim.engines.reference import compute


def run_network(
    network: Network,
    inputs: Mapping[str, np.ndarray],
    known: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """All tensors of one frame by name.

    Args:
        inputs: image inputs int8 (value - 128) in (1, H, W, C) or (H, W, C); featuremaps float32.
        known: results of CPU parts, taken instead of what is computed here: the last bits of float
            operators depend on what they are fused with.

    Returns:
        Quantized tensors as codes (H, W, C), float tensors as the CPU operators see them (NCHW).
    """
    values: dict[str, np.ndarray] = {}
    for item in network.inputs:
        array = np.asarray(inputs[item.tensor.name])
        values[item.tensor.name] = (
            array.reshape(network.tensors[item.tensor.name].shape_hwc).astype(np.int8)
            if item.input_type.is_image
            else array.astype(np.float32)
        )
    for op in network.ops:
        _step(op, network, values)
        for name in tensors_made(op):
            if known is not None and name in known:
                values[name] = known[name].reshape(values[name].shape)
    return values


def outputs_of(network: Network, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The model's outputs in order."""
    values = run_network(network, inputs)
    return [values[output.tensor] for output in network.outputs]


def _step(op: Operation, network: Network, values: dict[str, np.ndarray]) -> None:
    tensors = network.tensors
    if isinstance(op, OnnxOp):
        values.update(_onnx(op, network, values))
        return
    if isinstance(op, Quantize):
        codes = arith.quantize(values[op.x], tensors[op.y].scale.value)
        y = codes[0].transpose(1, 2, 0)
    elif isinstance(op, Dequantize):
        scale = np.array(tensors[op.x].scale.values, np.float32)
        y = arith.dequantize(values[op.x], scale).transpose(2, 0, 1)[None]
    else:
        assert isinstance(op, BPU_OPS)
        y = compute(op, [values[name][None] for name in tensors_read(op)], tensors[op.y])[0]
    values[op.y] = y
    if tensors[op.y].scale:
        assert y.shape == tensors[op.y].shape_hwc, (op.name, y.shape, tensors[op.y].shape_hwc)
        assert y.dtype == tensors[op.y].dtype.numpy, (op.name, y.dtype)


def _onnx(op: OnnxOp, network: Network, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The node alone in a session of its own."""
    feeds = {
        name: np.asarray(network.constants.get(name, values.get(name))) for name in op.xs if name
    }

    def info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)

    outputs = [onnx.ValueInfoProto(name=name) for name in op.ys if name]
    node = onnx.NodeProto.FromString(op.node)
    inputs = [info(name, array) for name, array in feeds.items()]
    graph = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in outputs], session.run(None, feeds), strict=True))
