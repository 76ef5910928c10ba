"""One example of every operator that may run on the BPU, and values for each of its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from tests.support.nets_front import Net

CHANNELS, HEIGHT, WIDTH = 8, 8, 12
Attributes = Mapping[str, Any]
Example = Callable[[Net, str, Attributes], str]


def _conv(net: Net, x: str, attributes: Attributes) -> str:
    weights = net.weights(CHANNELS, CHANNELS // attributes.get("group", 1), 3, 3)
    return net.add("Conv", x, weights, net.weights(CHANNELS), name="n", **attributes)


def _deconv(net: Net, x: str, attributes: Attributes) -> str:
    weights = net.weights(CHANNELS, CHANNELS // attributes.get("group", 1), 3, 3)
    bias = net.weights(CHANNELS)
    return net.add("ConvTranspose", x, weights, bias, name="n", **{"strides": [2, 2], **attributes})


def _pool(op: str) -> Example:
    def build(net: Net, x: str, attributes: Attributes) -> str:
        return net.add(op, x, name="n", **{"kernel_shape": [3, 3], **attributes})

    return build


def _with_constants(op: str, *arrays: Any) -> Example:
    def build(net: Net, x: str, attributes: Attributes) -> str:
        constants = [net.constant(np.asarray(array)) for array in arrays]
        return net.add(op, x, *constants, name="n", **attributes)

    return build


def _with_tensor(op: str) -> Example:
    def build(net: Net, x: str, attributes: Attributes) -> str:
        return net.add(op, x, net.conv(x, (CHANNELS, CHANNELS), 1), name="n", **attributes)

    return build


def _split(net: Net, x: str, attributes: Attributes) -> str:
    names = ["piece0", "piece1"]
    given = {"axis": 1, **attributes}
    half = {1: CHANNELS, 2: HEIGHT, 3: WIDTH}[given["axis"] % 4] // 2
    sizes = [] if "num_outputs" in attributes else [net.constant(np.array([half, half]))]
    net.nodes.append(onnx.helper.make_node("Split", [x, *sizes], names, name="n", **given))
    return net.add("Add", *names)


def _resize(net: Net, x: str, attributes: Attributes) -> str:
    sizes = attributes.get("axes", (0, 1, 2, 3))
    target = [(1, CHANNELS, HEIGHT + 1, 3 * WIDTH - 2)[axis % 4] for axis in sizes]
    given = {"mode": "linear", **attributes}
    return net.add("Resize", x, "", "", net.constant(np.array(target)), name="n", **given)


def _positive(net: Net, x: str) -> str:
    """Numbers from 0.2 to 1."""
    return net.add("Clip", x, net.constant(np.float32(0.2)), net.constant(np.float32(1)))


def _plain(op: str, **defaults: Any) -> Example:
    return lambda net, x, attributes: net.add(op, x, name="n", **{**defaults, **attributes})


EXAMPLES: dict[str, Example] = {
    "Conv": _conv,
    "ConvTranspose": _deconv,
    "AveragePool": _pool("AveragePool"),
    "MaxPool": _pool("MaxPool"),
    "Concat": lambda net, x, attributes: _with_tensor("Concat")(net, x, {"axis": 1, **attributes}),
    "Slice": _with_constants("Slice", [1, 0], [7, 6], [2, 3]),
    "Split": _split,
    "Pad": _with_constants("Pad", [0, 0, 1, 2, 0, 0, 2, 1], np.float32(0.5)),
    "Resize": _resize,
    "DepthToSpace": _plain("DepthToSpace", blocksize=2),
    "SpaceToDepth": _plain("SpaceToDepth", blocksize=2),
    "Clip": _with_constants("Clip", np.float32(-0.5), np.float32(1)),
    "PRelu": _with_constants("PRelu", np.linspace(0, 1, CHANNELS).reshape(CHANNELS, 1, 1)),
    "Sqrt": lambda net, x, _: net.add("Sqrt", _positive(net, x), name="n"),
    "Reciprocal": lambda net, x, _: net.add("Reciprocal", _positive(net, x), name="n"),
    "Pow": _with_constants("Pow", np.float32(2)),
    "Add": _with_tensor("Add"),
    "Sub": _with_tensor("Sub"),
    "Mul": _with_tensor("Mul"),
}

_WINDOW: dict[str, list[Any]] = {
    "auto_pad": ["SAME_UPPER", "SAME_LOWER", "VALID"],
    "dilations": [[1, 2], [2, 2]],
    "group": [2],
    "kernel_shape": [[3, 3]],
    "pads": [[1, 0, 1, 1], [2, 1, 0, 2]],
    "strides": [[2, 1], [1, 3], [2, 4]],
}
_POOL = {name: values for name, values in _WINDOW.items() if name != "group"}
_POOL |= {"kernel_shape": [[2, 2], [1, 4]], "ceil_mode": [1]}
VALUES: dict[str, dict[str, list[Any]]] = {
    "Conv": _WINDOW,
    "ConvTranspose": {**_WINDOW, "output_padding": [[1, 0], [1, 1]], "output_shape": [[17, 26]]},
    "AveragePool": {**_POOL, "count_include_pad": [1]},
    "MaxPool": {**_POOL, "storage_order": [1]},
    "Concat": {"axis": [2, 3, -3]},
    "Split": {"axis": [2, -1], "num_outputs": [2]},
    "Pad": {"mode": ["reflect", "edge", "wrap"]},
    "DepthToSpace": {"blocksize": [2], "mode": ["CRD", "DCR"]},
    "SpaceToDepth": {"blocksize": [2, 4]},
    "LeakyRelu": {"alpha": [0.3]},
    "HardSigmoid": {"alpha": [0.3], "beta": [0.1]},
    "Resize": {
        "antialias": [1],
        "axes": [[2, 3], [-1, -2]],
        "coordinate_transformation_mode": [
            "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric",
            "align_corners",
        ],
        "cubic_coeff_a": [-0.5],
        "exclude_outside": [1],
        "extrapolation_value": [3.0],
        "keep_aspect_ratio_policy": ["not_larger", "not_smaller"],
        "mode": ["nearest", "cubic"],
        "nearest_mode": ["floor", "ceil", "round_prefer_ceil"],
    },
}  # fmt: skip

COMPANIONS: dict[str, dict[str, Any]] = {
    "exclude_outside": {"mode": "cubic"},
    "keep_aspect_ratio_policy": {"axes": [2, 3]},
}
"""What an attribute needs beside it, else onnxruntime refuses the model."""


def example(op: str) -> Example:
    """The example of an operator; those without constants need none of their own."""
    return EXAMPLES.get(op, _plain(op))
