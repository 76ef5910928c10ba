"""Resize positions and weights against onnxruntime's Resize in float."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bpu_common.errors import ModelUnsupported
from bpu_common.program import Axis, ResizeMode
from bpu_sim import arith

MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners")
SIZES = [(4, 8), (7, 14), (5, 15), (9, 3), (13, 4), (8, 5), (3, 7), (6, 6), (10, 1), (1, 5), (2, 3)]


def run_resize(
    values: np.ndarray, *, size: int = 0, scale: float | None = None, **attributes: str
) -> np.ndarray:
    """onnxruntime's Resize of a row of values along the last axis."""
    scales = [] if scale is None else [1.0, 1.0, 1.0, scale]
    sizes = [1, 1, 1, size] if scale is None else []
    feeds = ["x", "", "scales", ""] if scale is not None else ["x", "", "", "sizes"]
    initializers = [helper.make_tensor("scales", TensorProto.FLOAT, [4], scales)] if scales else []
    initializers += [helper.make_tensor("sizes", TensorProto.INT64, [4], sizes)] if sizes else []
    graph = helper.make_graph(
        [helper.make_node("Resize", feeds, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, len(values)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, None])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": values.reshape(1, 1, 1, -1).astype(np.float32)})[0].ravel()


def interpolate(axis: Axis, values: np.ndarray) -> np.ndarray:
    frac = np.array(axis.frac) / 256
    return values[list(axis.low)] * (1 - frac) + values[list(axis.high)] * frac


@pytest.mark.parametrize("coordinate_mode", MODES)
@pytest.mark.parametrize(("in_size", "out_size"), SIZES)
def test_bilinear(coordinate_mode: str, in_size: int, out_size: int) -> None:
    values = np.random.default_rng(in_size).uniform(-100, 100, in_size)
    axis = arith.resize_axis(in_size, out_size, ResizeMode.BILINEAR, coordinate_mode)
    expected = run_resize(
        values, size=out_size, mode="linear", coordinate_transformation_mode=coordinate_mode
    )
    reach = np.abs(np.diff(values)).max(initial=0.0)
    assert np.abs(interpolate(axis, values) - expected).max() <= reach / 512 + 1e-3
    assert all(0 <= frac < 256 for frac in axis.frac)


@pytest.mark.parametrize("nearest_mode", list(arith.NEAREST_MODES))
@pytest.mark.parametrize("coordinate_mode", MODES)
@pytest.mark.parametrize(("in_size", "out_size"), SIZES)
def test_nearest(nearest_mode: str, coordinate_mode: str, in_size: int, out_size: int) -> None:
    values = np.arange(in_size)
    axis = arith.resize_axis(
        in_size, out_size, ResizeMode.NEAREST, coordinate_mode, nearest_mode=nearest_mode
    )
    expected = run_resize(
        values,
        size=out_size,
        mode="nearest",
        nearest_mode=nearest_mode,
        coordinate_transformation_mode=coordinate_mode,
    )
    differs = np.array(axis.low) != expected.astype(int)
    if coordinate_mode == "half_pixel_symmetric" and nearest_mode in {"floor", "ceil"}:
        # the oracle's float32 error decides positions that are whole numbers; ours are exact
        position = run_resize(
            values, size=out_size, mode="linear", coordinate_transformation_mode=coordinate_mode
        )
        differs &= np.abs(position - np.rint(position)) > 1e-5
    assert not differs.any()
    assert axis.high == axis.low


@pytest.mark.parametrize("coordinate_mode", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize(("in_size", "scale"), [(7, 1.6), (10, 0.55), (5, 2.0), (9, 2.3)])
def test_scale_that_is_not_the_ratio_of_sizes(
    coordinate_mode: str, in_size: int, scale: float
) -> None:
    values = np.random.default_rng(in_size).uniform(-100, 100, in_size)
    expected = run_resize(
        values, scale=scale, mode="linear", coordinate_transformation_mode=coordinate_mode
    )
    axis = arith.resize_axis(
        in_size, len(expected), ResizeMode.BILINEAR, coordinate_mode, scale=scale
    )
    reach = np.abs(np.diff(values)).max()
    assert np.abs(interpolate(axis, values) - expected).max() <= reach / 512 + 1e-3


def test_float32_scale_of_a_ratio_means_the_ratio() -> None:
    third = float(np.float32(1 / 3))
    exact = arith.resize_axis(9, 3, ResizeMode.NEAREST, "half_pixel")
    assert arith.resize_axis(9, 3, ResizeMode.NEAREST, "half_pixel", scale=third) == exact


@pytest.mark.parametrize("names", [("tf_crop_and_resize", "floor"), ("half_pixel", "nearest")])
def test_unknown_modes_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ModelUnsupported, match=names[0]):
        arith.resize_axis(4, 8, ResizeMode.NEAREST, names[0], nearest_mode=names[1])
