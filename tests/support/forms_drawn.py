"""Random forms of operators behind a convolution, as hypothesis draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support.forms_opset import NEWEST, Form

OLDEST = 7
_COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners",
                "tf_half_pixel_for_nn", "half_pixel_symmetric", "tf_crop_and_resize")  # fmt: skip
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_SINCE = {"tf_half_pixel_for_nn": (11, 12), "half_pixel_symmetric": (19, NEWEST)}

Drawn = tuple[Form, int]
"""A form and the opset of its file."""


def opsets(first: int, last: int = NEWEST) -> st.SearchStrategy[int]:
    return st.integers(first, last)


@st.composite
def pools(draw: st.DrawFn) -> Drawn:
    """1-D to 3-D, with all that the opset knows; some that onnxruntime does not run."""
    op = draw(st.sampled_from(["AveragePool", "AveragePool", "MaxPool", "LpPool"]))
    opset = draw(opsets(OLDEST))
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))

    def each(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=rank, max_size=rank))

    kernel = each(st.integers(1, 4))
    given: dict[str, Any] = {"kernel_shape": kernel}
    if draw(st.booleans()):
        given["strides"] = each(st.integers(1, 5))
    if opset >= {"AveragePool": 19, "MaxPool": 10, "LpPool": 18}[op] and draw(st.booleans()):
        given["dilations"] = each(st.integers(1, 3))
    if opset >= {"AveragePool": 10, "MaxPool": 10, "LpPool": 18}[op]:
        given["ceil_mode"] = draw(st.integers(0, 1))
    if op == "AveragePool":
        given["count_include_pad"] = draw(st.integers(0, 1))
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto != "NOTSET":
        given["auto_pad"] = auto
    elif draw(st.booleans()):
        given["pads"] = [draw(st.integers(0, size - 1)) for size in kernel * 2]
    sizes = each(st.integers(1, 12) if rank < 3 else st.integers(1, 7))
    return Form(op, 1, NEWEST, (1, 2, *sizes), attributes=given), opset


@st.composite
def resizes(draw: st.DrawFn) -> Drawn:
    """Upsample of opset 7 to 9, Resize since, of height and width or of other axes."""
    opset = draw(opsets(OLDEST))
    shape = (1, 2, draw(st.integers(2, 10)), draw(st.integers(2, 10)))
    decimals = st.sampled_from([1.0, 2.0, 2.0, 3.0, 0.5, 0.6, 1.7, 2.3, 1 / 3, 4.0, 2.9])
    scales = np.array([1, 1, draw(decimals), draw(decimals)], np.float32)
    mode = draw(st.sampled_from(["nearest", "linear"]))
    if opset < 10:
        scales = np.maximum(scales, 1)
        if opset < 9:
            given = {"mode": mode, "scales": scales.tolist()}
            return Form("Upsample", 7, 8, shape, attributes=given), opset
        return Form("Upsample", 9, 9, shape, [scales], {"mode": mode}), opset
    if opset == 10:
        return Form("Resize", 10, 10, shape, [scales], {"mode": mode}), opset
    return _resize(draw, opset, shape, scales), opset


def _resize(draw: st.DrawFn, opset: int, shape: tuple[int, ...], scales: np.ndarray) -> Form:
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    way = draw(st.sampled_from(_COORDINATES))
    since, until = _SINCE.get(way, (11, NEWEST))
    if not since <= opset <= until:
        way = "half_pixel"
    given: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": way}
    if mode == "nearest":
        given["nearest_mode"] = draw(st.sampled_from(_ROUNDINGS))
    elif opset >= 18 and way != "tf_crop_and_resize" and draw(st.booleans()):
        given["antialias"] = 1
    if mode == "cubic" and draw(st.booleans()):
        given |= {"exclude_outside": 1, "cubic_coeff_a": -0.5}
    roi: Any = None if opset >= 13 else np.zeros(0, np.float32)
    if way == "tf_crop_and_resize":
        roi = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.1], np.float32)
        given["extrapolation_value"] = 0.5
    sizes = np.array([1, 2, *(draw(st.integers(1, 20)) for _ in range(2))], np.int64)
    if opset >= 18 and way != "tf_crop_and_resize" and draw(st.booleans()):
        given["axes"], scales, sizes = [2, 3], scales[2:], sizes[2:]
        policies = ["stretch", "not_larger", "not_smaller"]
        given["keep_aspect_ratio_policy"] = draw(st.sampled_from(policies))
    if draw(st.booleans()):
        given.pop("keep_aspect_ratio_policy", None)
        return Form("Resize", 11, NEWEST, shape, [roi, scales], given)
    empty = None if opset >= 13 else np.zeros(0, np.float32)
    return Form("Resize", 11, NEWEST, shape, [roi, empty, sizes], given)


@st.composite
def softmaxes(draw: st.DrawFn) -> Drawn:
    """Softmax, LogSoftmax and Hardmax over any axis of one to five axes."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 1, 2, 3, 5]), min_size=1, max_size=5)))
    opset = draw(opsets(OLDEST))
    lowest = -len(shape) if opset >= 11 else 0
    given = {}
    if len(shape) == 1 or draw(st.booleans()):
        given["axis"] = draw(st.integers(lowest, len(shape) - 1))
    op = draw(st.sampled_from(["Softmax", "LogSoftmax", "Hardmax"]))
    return Form(op, 1, NEWEST, shape, attributes=given), opset


def behind_a_conv(drawn: Drawn) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The operator alone behind a convolution that the BPU runs, and a sample for `data`."""
    form, opset = drawn
    map_shape = form.shape if len(form.shape) == 4 else (1, 1, math.prod(form.shape), 1)
    random = np.random.default_rng(3)
    weights = random.normal(0, 1, (map_shape[1], 3, 1, 1)).astype(np.float32)
    constants = {"weights": weights, "bias": np.zeros(map_shape[1], np.float32)}
    nodes = [helper.make_node("Conv", ["data", "weights", "bias"], ["map"], "conv")]
    x = "map"
    if map_shape != form.shape:
        constants["shape"] = np.array(form.shape, np.int64)
        nodes.append(helper.make_node("Reshape", ["map", "shape"], ["shaped"], "reshape"))
        x = "shaped"
    inputs = [x, *_further(form.arrays(), constants)]
    nodes.append(helper.make_node(form.op, inputs, ["y"], "tested", **form.attributes))
    graph = helper.make_graph(
        nodes,
        "behind",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, (1, 3, *map_shape[2:]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset_imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph, opset_imports=opset_imports, ir_version=8 if opset < 19 else 10
    )
    data = random.normal(0, 1, (1, 3, *map_shape[2:])).astype(np.float32)
    return model, {"data": data}


def _further(arrays: Sequence[np.ndarray | None], constants: dict[str, np.ndarray]) -> list[str]:
    """Names of further inputs, which become constants; empty where one is left out."""
    names = []
    for index, array in enumerate(arrays):
        names.append("" if array is None else f"c{index}")
        if array is not None:
            constants[names[-1]] = array
    return names
