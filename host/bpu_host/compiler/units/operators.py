"""The operators that can become work of the BPU: how each is read, and what it may carry.

The one table of its kind: recognition, placement, the rules' operator lists and the page of
supported operators follow from it. An attribute that is not listed sends its node to the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units import arithmetic, functions, rearrange, windows
from bpu_host.compiler.units.reading import require, shape_hwc
from bpu_host.compiler.units.work import Unit, Work

Values = tuple[object, ...]
READ: Values = ()
"""Any value: the reader computes with it, or it has no part in what the reader accepts."""


@dataclass(frozen=True, slots=True)
class Operator:
    """How one ONNX operator is read.

    Attributes:
        read: the node as work, or as units where there are several or other operands.
        attributes: by name, the values with which the node may run on the BPU; READ for all.
        inputs: the most inputs it knows.
        outputs: the outputs it makes; others must have no reader.
        needs: what the form of the node must be, as a sentence for the documentation.
    """

    read: Callable[[ir.Node], Work | tuple[Unit, ...]]
    attributes: Mapping[str, Values] = field(default_factory=dict)
    inputs: int = 1
    outputs: int = 1
    needs: str = ""

    def units(self, node: ir.Node) -> tuple[Unit, ...]:
        """The units of `node`, none of them fused.

        Raises:
            OffBpu: the BPU cannot do it in this form.
        """
        self._check(node)
        found = self.read(node)
        if isinstance(found, tuple):
            return found
        x, y = node.inputs[0], node.outputs[0]
        names, shapes = (g.name_of(x),), (shape_hwc(x),)
        return (Unit(g.name_of(node), found, (node,), names, shapes, g.name_of(y), shape_hwc(y)),)

    def _check(self, node: ir.Node) -> None:
        for value in (node.inputs[0], *node.outputs[: self.outputs]):
            shape_hwc(value)
        for name, attribute in node.attributes.items():
            require(name in self.attributes, f"attribute {name} is not known here", "ATTRIBUTE")
            allowed = self.attributes[name]
            value = attribute.value
            require(
                allowed == READ or value in allowed,
                f"{name} {value}; it must be {' or '.join(map(str, allowed))}",
                "ATTRIBUTE",
            )
        require(
            len(node.inputs) <= self.inputs,
            f"it has {len(node.inputs)} inputs; {self.inputs} are known",
        )
        more = node.outputs[self.outputs :]
        require(
            not any(value.uses() or value.is_graph_output() for value in more),
            "its second output is used",
        )


_MANY = 1 << 16
_WINDOW = {"kernel_shape": READ, "strides": READ, "pads": READ, "auto_pad": ("NOTSET",)}
_CONV = {**_WINDOW, "dilations": READ, "group": READ}
_POOL = {**_WINDOW, "dilations": ([1, 1], (1, 1)), "ceil_mode": (0,)}
_RESIZE: dict[str, Values] = {
    "mode": ("nearest", "linear"),
    "coordinate_transformation_mode": (
        "half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners",
    ),
    "nearest_mode": READ,
    "axes": READ,
    "antialias": (0,),
    "exclude_outside": (0,),
    "keep_aspect_ratio_policy": ("stretch",),
    "cubic_coeff_a": READ,  # of mode cubic alone
    "extrapolation_value": READ,  # of tf_crop_and_resize alone, as the input roi
}  # fmt: skip
_PARAMETERS: dict[str, dict[str, Values]] = {"HardSigmoid": {"alpha": READ, "beta": READ}}
_WEIGHTS = "Weights and bias are constant."

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "Conv": Operator(windows.convolution, _CONV, 3, needs=_WEIGHTS),
        "ConvTranspose": Operator(
            windows.transposed_convolution, {**_CONV, "output_padding": READ}, 3, needs=_WEIGHTS
        ),
        "AveragePool": Operator(
            windows.average_pool,
            {**_POOL, "count_include_pad": READ},
            needs="All its means divide by one number: padding, that of ceil_mode too, is counted "
            "or absent. No dilation.",
        ),
        "MaxPool": Operator(
            windows.max_pool,
            {**_POOL, "storage_order": READ},  # of the indices alone
            needs="The indices have no reader; no dilation.",
        ),
        "GlobalAveragePool": Operator(windows.global_average),
        "GlobalMaxPool": Operator(windows.global_maximum),
        "Concat": Operator(
            rearrange.concat,
            {"axis": READ},
            _MANY,
            needs="All inputs are computed; not along the batch.",
        ),
        "Slice": Operator(
            rearrange.slice_box, inputs=5, needs="Bounds are constant, steps positive."
        ),
        "Split": Operator(
            rearrange.split,
            {"axis": READ, "num_outputs": READ},
            inputs=2,
            outputs=_MANY,
            needs="Equal pieces of height, width or channels.",
        ),
        "Pad": Operator(
            rearrange.pad,
            {"mode": ("constant",)},
            inputs=4,
            needs="Constant padding of height and width.",
        ),
        "Resize": Operator(
            rearrange.resize,
            _RESIZE,
            inputs=4,
            needs="Nearest or linear on height and width, stretched, without antialias; "
            "half_pixel, pytorch_half_pixel, asymmetric or align_corners.",
        ),
        "DepthToSpace": Operator(rearrange.depth_space, {"blocksize": READ, "mode": READ}),
        "SpaceToDepth": Operator(rearrange.depth_space, {"blocksize": READ}),
        "Relu": Operator(functions.clamp),
        "Clip": Operator(functions.clamp, inputs=3, needs="Bounds are constant."),
        "LeakyRelu": Operator(functions.leaky_relu, {"alpha": READ}),
        "PRelu": Operator(
            functions.prelu, inputs=2, needs="A constant slope, one value or one per channel."
        ),
        **{
            name: Operator(functions.look_up, _PARAMETERS.get(name, {}))
            for name in (*functions.PLAIN, "HardSigmoid")
        },
        "Pow": Operator(functions.look_up, inputs=2, needs="The exponent is one constant value."),
        "Add": Operator(arithmetic.add, inputs=2, needs=arithmetic.NEEDS),
        "Sub": Operator(arithmetic.subtract, inputs=2, needs=arithmetic.NEEDS),
        "Mul": Operator(arithmetic.multiply, inputs=2, needs=arithmetic.NEEDS),
    }
)
LOOK_UPS = (*functions.PLAIN, "HardSigmoid", "Pow")
"""Operators that the chip does by a look-up, with its limits."""

REWRITTEN: Mapping[str, str] = MappingProxyType(
    {
        "BatchNormalization": "folded into a convolution",
        "Constant": "a stored constant",
        "ConstantOfShape": "folded into a constant",
        "Div": "by a constant: folded into a convolution",
        "Dropout": "removed",
        "Gemm": "a convolution",
        "Identity": "removed",
        "If": "its branch, when constants or shapes decide",
        "MatMul": "one row by constant weights: a convolution",
        "Mean": "Add and Mul",
        "ReduceMean": "over height and width: GlobalAveragePool",
        "Scatter": "ScatterElements",
        "Shape": "folded into a constant",
        "Size": "folded into a constant",
        "Squeeze": "Reshape",
        "Sum": "Add",
        "Trilu": "Where with a constant mask",
        "Unsqueeze": "Reshape",
        "Upsample": "Resize",
    }
)
"""What the frontend and the passes make of operators before they are recognised."""
