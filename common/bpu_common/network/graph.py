"""A whole quantized network: its tensors, and its operations in parts."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bpu_common.network.ops import Operation
from bpu_common.tensor import AnyArray, DType, Layout, ModelInput, Scale, TensorSpec


class Place(enum.Enum):
    """Where a part runs."""

    BPU = "BPU"
    CPU = "CPU"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Operations that run together, in topological order.

    Attributes:
        name: `<network>_subgraph_<k>` on the BPU, `<network>_cpu_<k>` on the CPU.
        ops: on the BPU int8 operations; on the CPU any.
        inputs: tensors read and not made here, without constants, in order of first use.
        outputs: tensors made here that a later part reads or the model returns.
    """

    name: str
    place: Place
    ops: tuple[Operation, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """An output of the model; several may show one tensor.

    Attributes:
        name: what the caller asks for, unique among the outputs.
        tensor: the tensor it is.
        layer: name of the float node whose result it shows, for outputs that were added to look
            inside; else empty.
    """

    name: str
    tensor: str
    layer: str = ""


@dataclass(frozen=True, slots=True)
class RemovedNode:
    """An edge operation that was taken out of the model: what the caller must do instead.

    Attributes:
        op: the operation.
        at_input: it stood at an input (the caller does it before), else at an output (after).
        x: the tensor it read.
        y: the tensor it made.
        mean: per channel, for a preprocessing that went with it; else empty.
        factor: per channel, likewise (real = (value - mean) * factor).
    """

    op: Operation
    at_input: bool
    x: TensorSpec
    y: TensorSpec
    mean: tuple[float, ...] = ()
    factor: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A quantized network; parts are in execution order.

    Float tensors keep their names from the float graph; the quantized twin of float tensor `t` is
    `<t>_quantized` wherever both exist, else it has the float name.

    Attributes:
        tensors: every tensor by name: inputs, inner ones, outputs; not the constants.
        inputs: an image input is the int8 tensor (value - 128) that the first operation reads, a
            featuremap input a float32 tensor.
        constants: what ONNX and custom operators read besides tensors, by name.
        removed: edge operations that were taken out, in the order in which they ran.
    """

    name: str
    tensors: dict[str, TensorSpec]
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    parts: tuple[Part, ...]
    constants: Mapping[str, AnyArray] = field(default_factory=dict)
    removed: tuple[RemovedNode, ...] = ()

    @property
    def ops(self) -> tuple[Operation, ...]:
        """All operations in execution order."""
        return tuple(op for part in self.parts for op in part.ops)

    @property
    def images(self) -> dict[str, ModelInput]:
        """The inputs that arrive as pictures, by tensor name."""
        return {item.tensor.name: item for item in self.inputs if item.input_type.is_image}


def bpu_tensor(
    name: str, shape_hwc: tuple[int, int, int], scale: Scale, dtype: DType = DType.INT8
) -> TensorSpec:
    """An int8 or int32 activation, (1, height, width, channels)."""
    return TensorSpec(name, (1, *shape_hwc), dtype, Layout.NHWC, scale=scale)
