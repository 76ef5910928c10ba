"""The quantized model: `horizon` operators as model-local functions with standard bodies.

int8 tensors between the nodes, NCHW inside, images int8 NHWC and feature maps as they are outside.
It runs in stock onnxruntime with default options and gives the bits of `bpu_sim.arith`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bpu_common.errors import CompilerBug
from bpu_common.network import (
    BpuOp,
    Cast,
    CustomOp,
    Dequantize,
    Network,
    OnnxOp,
    Operation,
    QConv,
    QEltwise,
    Quantize,
    Reshape,
    Softmax,
    Transpose,
    tensors_read,
)
from bpu_common.tensor import F64, AnyArray, DType, ModelInput, TensorSpec
from bpu_sim.engines.onnx.emitter import (
    HORIZON,
    Attr,
    Emitter,
    cast,
    function,
    model_bytes,
    value_info,
)
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.dispatch import Scene, Value, emit, oihw
from bpu_sim.engines.ort.edges import dequantize_body, quantize_body, scale_array


@dataclass(frozen=True, slots=True)
class InputConstants:
    """Constants of a convolution as inputs of its function: int8 weights, bias q, bias shift."""

    body: Emitter

    def weights(self, scale: F64 | None) -> str:
        name = cast(self.body, "weight_quantized", "float32")
        if scale is None:
            return name
        factor = self.body.param("weight_unit", scale.astype(np.float32).reshape(-1, 1, 1, 1))
        return self.body.add("Mul", name, factor)


@dataclass(slots=True)
class Functions:
    """The function library of one model: bodies that are equal are stored once.

    Attributes:
        found: serialized FunctionProtos by their names.
        names: name of each function by its operator type and its bytes without a name.
    """

    found: dict[str, bytes] = field(default_factory=dict)
    names: dict[tuple[str, bytes], str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, op_type: str, inputs: Sequence[str], body: Emitter) -> str:
        """Name of the function with this body: `op_type`, `op_type_2`, ...: never an overload."""
        taken = [*inputs, *body.params]
        key = (op_type, function(HORIZON, "", taken, "y", body))
        if key not in self.names:
            count = self.counts[op_type] = self.counts.get(op_type, 0) + 1
            name = self.names[key] = op_type if count == 1 else f"{op_type}_{count}"
            self.found[name] = function(HORIZON, name, taken, "y", body)
        return self.names[key]


def quantized_model(network: Network, plans: Plans | None = None) -> bytes:
    """ONNX bytes (opset 19, IR 10) of the whole quantized network.

    Args:
        plans: how its operations are computed, if that is known: finding it takes a second.
    """
    writer = _Writer(network, plans or Plans.of(network))
    for model_input in network.inputs:
        writer.read_input(model_input)
    for op in network.ops:
        writer.add(op)
    outputs = [writer.write_output(output.tensor) for output in network.outputs]
    read = dict.fromkeys(name for op in network.ops for name in tensors_read(op))
    for name in read:
        if name in network.constants:
            writer.graph.initializer(name, network.constants[name])
    functions = list(writer.functions.found.values())
    return model_bytes(
        writer.graph, network.name, (writer.inputs, outputs), functions, writer.inner
    )


class _Writer:
    """Walks the quantized network and adds one node an operation."""

    def __init__(self, network: Network, plans: Plans) -> None:
        self.network = network
        self.scene = Scene(plans, padded=False)
        self.graph = Emitter(prefix=".")
        self.functions = Functions()
        self.inputs: list[bytes] = []
        self.inner: list[bytes] = []
        self.local = {
            output.tensor: f"{output.tensor}_NCHW"
            for output in network.outputs
            if network.tensors[output.tensor].scale
        }

    def read_input(self, model_input: ModelInput) -> None:
        """Images enter as int8 NHWC and are transposed; feature maps as they are."""
        spec = model_input.tensor
        if not model_input.input_type.is_image:
            self.inputs.append(value_info(spec.name, spec.dtype.value, spec.shape))
            return
        self.inputs.append(value_info(spec.name, "int8", spec.shape))
        name = f"{spec.name}_NHWC2NCHW_LayoutConvert_Input0"
        self.local[spec.name] = name
        self.graph.add("Transpose", spec.name, out=name, perm=[0, 3, 1, 2])

    def write_output(self, name: str) -> bytes:
        """float32 outputs keep their shape; quantized ones leave as NHWC."""
        tensor = self.network.tensors[name]
        if not tensor.scale:
            return value_info(name, tensor.dtype.value, tensor.shape)
        self.graph.add("Transpose", self.local[name], out=name, perm=[0, 2, 3, 1])
        return value_info(name, tensor.dtype.value, (1, *tensor.shape_hwc))

    def add(self, op: Operation) -> None:
        """The node of one operation, with its function."""
        match op:
            case OnnxOp():
                self.graph.nodes.append(op.node)
            case Quantize():
                self._add_quantize(op)
            case Dequantize():
                self._add_dequantize(op)
            case Transpose() | Cast() | Reshape() | Softmax() | CustomOp():
                raise CompilerBug(f"the quantized ONNX has no {type(op).__name__} {op.name!r}")
            case _:
                self._add_bpu(op)

    def _add_quantize(self, op: Quantize) -> None:
        tensor = self.network.tensors[op.y]
        body = Emitter(prefix="b", inline=True)
        quantize_body(body, "data", tensor, self.network.tensors[op.x].shape, "y_scale", "y")
        scale = scale_array(tensor)
        flat = scale.reshape(-1) if tensor.scale.is_per_channel else scale
        call = _Call(op, ["data"], [op.x], {"y_scale": flat})
        self._call(call, body, {"bits": 8, "axis": 1})

    def _add_dequantize(self, op: Dequantize) -> None:
        tensor = self.network.tensors[op.x]
        body = Emitter(prefix="b", inline=True)
        scale, array = "x_scale", scale_array(tensor)
        if tensor.scale.is_per_channel:
            columns = body.const([-1 if size > 1 else 1 for size in array.shape[1:]], "int64")
            scale, array = body.add("Reshape", scale, columns), array.reshape(-1)
        dequantize_body(body, "data", tensor, self.network.tensors[op.y].shape, scale, "y")
        call = _Call(op, ["data"], [self.local.get(op.x, op.x)], {"x_scale": array})
        self._call(call, body, {"axis": 1})

    def _add_bpu(self, op: BpuOp) -> None:
        body = Emitter(prefix="b", inline=True)
        names = ["data", *(f"data_{i}" for i in range(1, len(tensors_read(op))))]
        values = [
            Value(cast(body, data, "float32"), self.network.tensors[name].shape_hwc[2])
            for data, name in zip(names, tensors_read(op), strict=True)
        ]
        result = emit(body, self.scene, op, values, lambda *_: InputConstants(body))
        tensor = self.network.tensors[op.y]
        cast(body, result.name, tensor.dtype.value, out="y")
        sources = [self.local.get(name, name) for name in tensors_read(op)]
        arrays = _conv_arrays(op) if isinstance(op, QConv) else {}
        call = _Call(op, names, sources, arrays)
        self._call(call, body, hardware_attributes(op, tensor))
        height, width, channels = tensor.shape_hwc
        name = self.local.get(op.y, op.y)
        self.inner.append(value_info(name, tensor.dtype.value, (1, channels, height, width)))

    def _call(self, call: _Call, body: Emitter, extra: Mapping[str, Attr]) -> None:
        op = call.op
        arrays = {**call.arrays, **body.params}
        inputs = [*call.names, *call.arrays]
        function = self.functions.add(op.op_type, inputs, body)
        constants = [
            self.graph.initializer(f"{op.name}_{hint}", array) for hint, array in arrays.items()
        ]
        self.graph.call(
            function,
            [*call.sources, *constants],
            self.local.get(op.y, op.y),
            name=op.name,
            domain=HORIZON,
            attrs={**extra, **body.attrs},
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """A node about to be written.

    Attributes:
        names: the function's names of the data inputs.
        sources: the graph's names of them.
        arrays: further inputs with fixed values, by the function's names.
    """

    op: BpuOp | Quantize | Dequantize
    names: list[str]
    sources: list[str]
    arrays: Mapping[str, AnyArray]


def _conv_arrays(op: QConv) -> dict[str, AnyArray]:
    """The arrays a convolution's node shows, under the names of its function's inputs."""
    return {
        "weight_quantized": oihw(op.weights),
        "bias_quantized": op.params.bias_q.astype(np.int32),
        "bias_b_scale": op.params.bias_shift.astype(np.int8),
    }


def hardware_attributes(op: BpuOp, tensor: TensorSpec) -> dict[str, Attr]:
    """What the hardware works with, as attributes no body reads (docs/conversion.md)."""
    match op:
        case QConv():
            wide = tensor.dtype is DType.INT32
            found: dict[str, Attr] = {
                "use_bias": 1,
                "output_bit": 32 if wide else 8,
                "high_precision_output": int(wide),
                "activation": "relu" if op.clamp[0] == 0 and not wide else "",
                "data_format": "NHWC",
                "upsample": list(op.upsample_hw),
            }
            if not wide:
                found["right_shift"] = op.params.right_shift.tolist()
                found["scale"] = op.params.multiplier.tolist()
                found["out_shift"] = op.params.out_shift.tolist()
                found["clamp"] = list(op.clamp)
            return found
        case QEltwise(entries=(entry,)):
            return {
                "factors": [entry.ka, entry.kb],
                "bias": entry.requant.bias,
                "right_shift": entry.requant.right_shift,
                "scale": entry.requant.multiplier,
                "out_shift": entry.requant.out_shift,
                "clamp": list(op.clamp),
            }
        case _:
            return {}
