"""Normalizations by mean and variance in other operators.

ONNX's own bodies take the variance as the difference of two means, which loses its digits in
float32 when the mean is large, and may be negative where the squares are quantized. Here it is the
mean of squared distances, as exporters wrote it before these operators existed and as onnxruntime's
kernels do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from bpu_host.compiler.frontend.splice import constant_node

Types = Mapping[str, onnx.TypeProto]
Body = Callable[[onnx.NodeProto, int, Types], list[onnx.NodeProto]]
"""From a node, the opset and the types of its inputs to its nodes; none where it does not fit."""

_EPSILON = 1e-5
_AXES_AS_INPUT = 18  # since then ReduceMean reads its axes


def layer_normalization(node: onnx.NodeProto, version: int, types: Types) -> list[onnx.NodeProto]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axes."""
    shape = _float_shape(node.input[0], types)
    if shape is None:
        return []
    rank = len(shape)
    axes = list(range(int(_given(node, "axis", -1)) % rank, rank))
    y, mean, inverse = (*node.output, "", "")[:3]
    bias = node.input[2] if len(node.input) > 2 else ""
    return [
        *_centred(node.input[0], axes, version, mean or "mean"),
        constant_node("epsilon", np.array(_given(node, "epsilon", _EPSILON), np.float32)),
        helper.make_node("Add", ["variance", "epsilon"], ["positive"]),
        helper.make_node("Sqrt", ["positive"], ["deviation"]),
        helper.make_node("Div", ["distance", "deviation"], ["normal"]),
        helper.make_node("Mul", ["normal", node.input[1]], ["scaled" if bias else y]),
        *([helper.make_node("Add", ["scaled", bias], [y])] if bias else []),
        *([helper.make_node("Reciprocal", ["deviation"], [inverse])] if inverse else []),
    ]


def mean_variance_normalization(
    node: onnx.NodeProto, version: int, types: Types
) -> list[onnx.NodeProto]:
    """(x - mean) / (sqrt(variance) + 1e-9) over the axes."""
    if _float_shape(node.input[0], types) is None:
        return []
    given = [helper.get_attribute_value(item) for item in node.attribute if item.name == "axes"]
    axes = [int(axis) for axis in given[0]] if given else [0, 2, 3]
    return [
        *_centred(node.input[0], axes, version, "mean"),
        constant_node("epsilon", np.array(1e-9, np.float32)),
        helper.make_node("Sqrt", ["variance"], ["root"]),
        helper.make_node("Add", ["root", "epsilon"], ["deviation"]),
        helper.make_node("Div", ["distance", "deviation"], [node.output[0]]),
    ]


def _centred(x: str, axes: list[int], version: int, mean: str) -> list[onnx.NodeProto]:
    """`distance` from the mean and `variance` of x over axes."""
    by_input = version >= _AXES_AS_INPUT
    more = ["axes"] if by_input else []
    said: dict[str, Any] = {} if by_input else {"axes": axes}  # as onnx.helper takes attributes
    return [
        *([constant_node("axes", np.array(axes, np.int64))] if by_input else []),
        helper.make_node("ReduceMean", [x, *more], [mean], **said),
        helper.make_node("Sub", [x, mean], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["square"]),
        helper.make_node("ReduceMean", ["square", *more], ["variance"], **said),
    ]


def group_normalization(node: onnx.NodeProto, version: int, types: Types) -> list[onnx.NodeProto]:
    """InstanceNormalization of each group of channels, then scale and bias.

    Before opset 21 they are one value a group, since then one a channel.
    """
    shape = _float_shape(node.input[0], types)
    parameters = _float_shape(node.input[1], types)
    if version < _AXES_AS_INPUT or shape is None or parameters is None or len(shape) < 3:
        return []
    x, scale, bias = node.input[:3]
    groups = int(_given(node, "num_groups", 1))
    epsilon = float(_given(node, "epsilon", _EPSILON))
    by_group = parameters == (groups,) and (version < 21 or groups == shape[1])
    wide = (1, shape[1], *(1,) * (len(shape) - 2))
    normal = ["grouped", scale, bias] if by_group else ["grouped", "ones", "zeros"]
    nodes = [
        constant_node("split", np.array((shape[0], groups, -1), np.int64)),
        constant_node("whole", np.array(shape, np.int64)),
        helper.make_node("Reshape", [x, "split"], ["grouped"]),
    ]
    if by_group:
        return [
            *nodes,
            helper.make_node("InstanceNormalization", normal, ["normal"], epsilon=epsilon),
            helper.make_node("Reshape", ["normal", "whole"], [node.output[0]]),
        ]
    return [
        *nodes,
        constant_node("ones", np.ones(groups, np.float32)),
        constant_node("zeros", np.zeros(groups, np.float32)),
        constant_node("wide", np.array(wide, np.int64)),
        helper.make_node("InstanceNormalization", normal, ["normal"], epsilon=epsilon),
        helper.make_node("Reshape", ["normal", "whole"], ["map"]),
        helper.make_node("Reshape", [scale, "wide"], ["wide_scale"]),
        helper.make_node("Reshape", [bias, "wide"], ["wide_bias"]),
        helper.make_node("Mul", ["map", "wide_scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "wide_bias"], [node.output[0]]),
    ]


OWN_BODIES: Mapping[str, Body] = {
    "LayerNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
}


def _given(node: onnx.NodeProto, name: str, default: float) -> float:
    """A number among the attributes."""
    found = [item for item in node.attribute if item.name == name]
    return float(helper.get_attribute_value(found[0])) if found else default


def _float_shape(name: str, types: Types) -> tuple[int, ...] | None:
    """The static shape of a float32 tensor; None for anything else."""
    kind = types[name].tensor_type
    dims: Sequence[onnx.TensorShapeProto.Dimension] = kind.shape.dim
    if kind.elem_type != TensorProto.FLOAT or not kind.HasField("shape"):
        return None
    shape = tuple(dim.dim_value for dim in dims)
    return None if 0 in shape else shape
