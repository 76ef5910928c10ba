"""A slow interpreter of the lowered graph over `bpu_sim.arith`: the oracle of every fast form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from bpu_common.tensor import DType
from bpu_host.compiler.lowered import (
    CpuOp,
    Dequantize,
    LoweredGraph,
    LoweredOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    Quantize,
)
from bpu_host.compiler.partition import tensors_made
from bpu_sim import arith


def run_lowered(
    lowered: LoweredGraph,
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
    for item in lowered.inputs:
        array = np.asarray(inputs[item.tensor.name])
        values[item.tensor.name] = (
            array.reshape(lowered.tensors[item.tensor.name].shape_hwc).astype(np.int8)
            if item.input_type.is_image
            else array.astype(np.float32)
        )
    for op in lowered.ops:
        _step(op, lowered, values)
        for name in tensors_made(op):
            if known is not None and name in known:
                values[name] = known[name].reshape(values[name].shape)
    return values


def outputs_of(lowered: LoweredGraph, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The model's outputs in order."""
    values = run_lowered(lowered, inputs)
    return [values[name] for name in lowered.outputs]


def _step(op: LoweredOp, lowered: LoweredGraph, values: dict[str, np.ndarray]) -> None:
    tensors = lowered.tensors
    if isinstance(op, CpuOp):
        values.update(_cpu(op, lowered, values))
        return
    if isinstance(op, Quantize):
        codes = arith.quantize(values[op.x], tensors[op.y].scale[0])
        y = codes[0].transpose(1, 2, 0)
    elif isinstance(op, Dequantize):
        scale = np.array(tensors[op.x].scale, np.float32)
        y = arith.dequantize(values[op.x], scale).transpose(2, 0, 1)[None]
    elif isinstance(op, QConcat):
        y = np.concatenate([values[x] for x in op.xs], op.axis)
    elif isinstance(op, QEltwise):
        y = arith.eltwise(
            op.kind,
            values[op.a],
            None if op.b is None else values[op.b],
            ka=op.ka,
            kb=op.kb,
            requant=op.requant,
            clamp=op.clamp,
        )
    else:
        y = _single(op, values[op.x], tensors[op.y].shape_hwc, tensors[op.y].dtype)
    values[op.y] = y
    if op.y in tensors:
        assert y.shape == tensors[op.y].shape_hwc, (op.name, y.shape, tensors[op.y].shape_hwc)
        assert y.dtype == tensors[op.y].dtype.numpy, (op.name, y.dtype)


def _single(op: LoweredOp, x: np.ndarray, shape: tuple[int, int, int], dtype: DType) -> np.ndarray:
    if isinstance(op, QConv):
        return arith.conv(
            x,
            op.weights,
            op.params,
            stride=op.stride_hw,
            dilation=op.dilation_hw,
            pads=op.pads_tlbr,
            groups=op.groups,
            upsample=op.upsample_hw,
            clamp=op.clamp,
            out=dtype,
        )
    if isinstance(op, QMaxPool):
        return arith.max_pool(x, op.kernel_hw, op.stride_hw, op.pads_tlbr)
    if isinstance(op, QLut):
        return arith.lut(x, op.tables)
    if isinstance(op, QResize):
        return arith.resize(x, op.mode, op.rows, op.columns)
    if isinstance(op, QPad):
        return arith.pad(x, op.pads_tlbr, op.value)
    if isinstance(op, QDepthToSpace):
        return arith.space_depth(x, op.block, to_space=op.to_space, dcr=op.dcr)
    assert isinstance(op, QSlice)
    box = tuple(
        slice(start, start + (size - 1) * step + 1, step)
        for start, step, size in zip(op.start_hwc, op.step_hwc, shape, strict=True)
    )
    return x[box]


def _cpu(
    op: CpuOp, lowered: LoweredGraph, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The node alone in a session of its own."""
    node = op.node
    names = [v.name for v in node.inputs if v is not None and v.name]
    feeds = {
        name: np.asarray(lowered.constants[name] if name in lowered.constants else values[name])
        for name in names
    }
    given = {
        name: ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        )
        for name, array in feeds.items()
    }
    outputs = [ir.Value(name=v.name) for v in node.outputs if v.name]
    copy = ir.Node(
        node.domain,
        node.op_type,
        [given[v.name] if v is not None and v.name else None for v in node.inputs],
        attributes=list(node.attributes.values()),
        outputs=[
            ir.Value(name=v.name) if not v.name else o
            for v, o in zip(node.outputs, outputs, strict=True)
        ],
        name=op.name,
    )
    graph = ir.Graph(
        list(given.values()),
        copy.outputs,
        nodes=[copy],
        opset_imports=dict(lowered.float_model.opset_imports),
        name="one",
    )
    proto = ir.to_proto(ir.Model(graph, ir_version=10))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
