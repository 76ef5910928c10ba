"""A network of ours as a LiteRT model: the same layers in int8, for its time only.

LiteRT rounds otherwise (one float factor a channel), so its results are not ours. Borders are
"same" wherever ours has any. Needs the extra `bench`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bpu_common.network import (
    BpuOp,
    Network,
    Place,
    QConcat,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
)
from bpu_common.program import EltwiseKind
from bpu_common.tensor import AnyArray

SCALE = 0.05
"""Of every activation: time does not depend on it."""
WEIGHT_SCALE = 1e-3


class Unsupported(Exception):
    """The network has an operation that is not written here."""


class _Writer:
    """Tensors and operators of the only subgraph."""

    def __init__(self, network: Network, schema: Any) -> None:
        self.schema, self._network = schema, network
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, "of openbpu"
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self._codes: dict[int, int] = {}
        self._made: dict[str, int] = {}

    def constant(self, data: AnyArray, scales: AnyArray | None = None, axis: int = 0) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        types = self.schema.TensorType
        kind = types.INT8 if data.dtype == np.int8 else types.INT32
        return self._tensor(data.shape, kind, scales, axis, len(self.model.buffers) - 1)

    def activation(self, name: str) -> int:
        if name not in self._made:
            shape = self._network.tensors[name].shape
            kind = self.schema.TensorType.INT8
            self._made[name] = self._tensor(shape, kind, np.array([SCALE]), 0, 0)
        return self._made[name]

    def _tensor(
        self, shape: Any, kind: int, scales: AnyArray | None, axis: int, buffer: int
    ) -> int:
        made = self.schema.TensorT()
        made.name, made.type, made.buffer = str(len(self.graph.tensors)), kind, buffer
        made.shape = [int(size) for size in shape]
        made.quantization = self.schema.QuantizationParametersT()
        if scales is not None:
            made.quantization.scale = [float(scale) for scale in scales]
            made.quantization.zeroPoint = [0] * len(scales)
            made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def add(self, name: str, inputs: list[int], y: str, options: str = "", **values: Any) -> None:
        """An operator by the name the format has for it."""
        code = getattr(self.schema.BuiltinOperator, name)
        if code not in self._codes:
            made = self.schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode = code, min(code, 127)
            made.version = 3 if name.endswith("CONV_2D") else 2
            self._codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(made)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._codes[code]
        operator.inputs, operator.outputs = inputs, [self.activation(y)]
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for field, value in values.items():
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)


def _conv(writer: _Writer, op: QConv) -> None:
    schema, channels = writer.schema, len(op.weights)
    depthwise = op.groups == channels and op.weights.shape[3] == 1 and op.groups > 1
    if op.upsample_hw != (1, 1) or op.addend is not None or (op.groups > 1 and not depthwise):
        raise Unsupported(op.name)
    scales = np.full(channels, WEIGHT_SCALE)
    weights = op.weights[..., 0].transpose(1, 2, 0)[None] if depthwise else op.weights
    same = any(op.pads_tlbr) and op.kernel_hw != (1, 1)
    activations = schema.ActivationFunctionType
    values: dict[str, Any] = {
        "padding": schema.Padding.SAME if same else schema.Padding.VALID,
        "strideH": op.stride_hw[0],
        "strideW": op.stride_hw[1],
        "dilationHFactor": op.dilation_hw[0],
        "dilationWFactor": op.dilation_hw[1],
        "fusedActivationFunction": activations.RELU if op.clamp[0] == 0 else activations.NONE,
    }
    inputs = [
        writer.activation(op.x),
        writer.constant(np.ascontiguousarray(weights), scales, 3 if depthwise else 0),
        writer.constant(op.params.bias.astype(np.int32), scales * SCALE),
    ]
    if depthwise:
        values["depthMultiplier"] = 1
        writer.add("DEPTHWISE_CONV_2D", inputs, op.y, "DepthwiseConv2DOptions", **values)
    else:
        writer.add("CONV_2D", inputs, op.y, "Conv2DOptions", **values)


def _write(writer: _Writer, op: BpuOp) -> None:
    schema = writer.schema
    none = schema.ActivationFunctionType.NONE
    match op:
        case QConv():
            _conv(writer, op)
        case QEltwise(kind=EltwiseKind.ADD, b=str(b)):
            inputs = [writer.activation(op.a), writer.activation(b)]
            writer.add("ADD", inputs, op.y, "AddOptions", fusedActivationFunction=none)
        case QMaxPool():
            same = schema.Padding.SAME if any(op.pads_tlbr) else schema.Padding.VALID
            (rows, columns), (down, across) = op.kernel_hw, op.stride_hw
            writer.add(
                "MAX_POOL_2D", [writer.activation(op.x)], op.y, "Pool2DOptions", padding=same,
                filterHeight=rows, filterWidth=columns, strideH=down, strideW=across,
                fusedActivationFunction=none,
            )  # fmt: skip
        case QLut():  # the networks of the benchmark have LeakyReLU there
            writer.add("LEAKY_RELU", [writer.activation(op.x)], op.y, "LeakyReluOptions", alpha=0.1)
        case QConcat(axis=axis):
            inputs = [writer.activation(x) for x in op.xs]
            values = {"axis": axis + 1, "fusedActivationFunction": none}
            writer.add("CONCATENATION", inputs, op.y, "ConcatenationOptions", **values)
        case QResize():
            size = np.array([len(op.rows.low), len(op.columns.low)], np.int32)
            inputs = [writer.activation(op.x), writer.constant(size)]
            writer.add("RESIZE_NEAREST_NEIGHBOR", inputs, op.y, "ResizeNearestNeighborOptions")
        case _:
            raise Unsupported(op.name)


def litert_run(network: Network, threads: int) -> Any:
    """A function that runs the network's BPU part in LiteRT; None: it cannot be written.

    Raises:
        ImportError: LiteRT is not installed.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    parts = [part for part in network.parts if part.place is Place.BPU]
    if len(parts) != 1:
        return None
    writer = _Writer(network, schema)
    try:
        for name in parts[0].inputs:
            writer.activation(name)
        for op in parts[0].ops:
            _write(writer, op)
    except Unsupported:
        return None
    writer.graph.inputs = [writer.activation(name) for name in parts[0].inputs]
    writer.graph.outputs = [writer.activation(name) for name in parts[0].outputs]
    builder = flatbuffers.Builder(1024)
    builder.Finish(writer.model.Pack(builder), b"TFL3")
    made = Interpreter(model_content=bytes(builder.Output()), num_threads=threads)
    try:
        made.allocate_tensors()
        made.invoke()
    except RuntimeError:
        return None
    return made.invoke
