"""Layers and forms that OpenCV has not, against Caffe's definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bpu_host.compiler.frontend.caffe.layers.table import WRITERS
from tests.caffe import formulas as f
from tests.caffe.opencv_cases import CASES
from tests.support import caffe_nets as nets

X = ((1, 3, 6, 6),)
TWO = ((2, 3, 6, 6),)


def row(kind, shapes, more, blobs, formula, tops=1):
    return (kind, shapes, more, blobs, formula, tops)


def slope(x, w):
    return np.where(x > 0, x, x * w)


FORMS = (
    row("ReLU6", X, "", (), lambda x: np.clip(x, 0, 6)),
    row("Clip", X, "clip_param { min: -0.5 max: 0.25 }", (), lambda x: np.clip(x, -0.5, 0.25)),
    row("RReLU", X, "rrelu_param { lower: 0.1 upper: 0.3 }", (), lambda x: slope(x, 0.2)),
    row("CReLU", X, "", (), lambda x: np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], 1)),
    row("Swish", X, "swish_param { beta: 1.5 }", (), lambda x: x * f.sigmoid(1.5 * x)),
    row("Threshold", X, "threshold_param { threshold: 0.3 }", (), lambda x: (x > 0.3) * 1.0),
    row("Log", X, "log_param { base: 2 scale: 0.1 shift: 9 }", (), lambda x: np.log2(0.1 * x + 9)),
    row("Log", X, "log_param { shift: 9 }", (), lambda x: np.log(x + 9)),
    row("Power", X, "power_param { power: 0 }", (), np.ones_like),
    row("Power", X, "", (), lambda x: x),
    row("Bias", X, "", ((3,),), lambda x, b: x + b[:, None, None]),
    row("Bias", X, "bias_param { axis: 0 num_axes: -1 }", (X[0],), lambda x, b: x + b),
    row("Scale", X, "scale_param { axis: 2 num_axes: 2 }", ((6, 6),), lambda x, w: x * w),
    row("Scale", X, "scale_param { num_axes: 0 }", ((),), lambda x, w: x * w),
    row("Scale", ((2, 3, 6, 6), (2, 3)), "scale_param { axis: 0 bias_term: true }", ((2, 3),),
        lambda x, w, b: x * w[:, :, None, None] + b[:, :, None, None]),
    row("Eltwise", ((1, 3, 6, 6), (1, 3, 1, 1)), "", (), lambda x, y: x + y),
    row("Eltwise", ((1, 3, 1, 1), (1, 3, 6, 6)), "eltwise_param { operation: PROD }", (),
        lambda x, y: x * y),
    row("InnerProduct", TWO, "inner_product_param { num_output: 4 transpose: true }",
        ((108, 4), (4,)), lambda x, w, b: x.reshape(2, -1) @ w + b),
    row("InnerProduct", ((2, 5),), "inner_product_param { num_output: 4 axis: -1 }",
        ((4, 5), (4,)), lambda x, w, b: x @ w.T + b),
    row("BatchNorm", X, "", ((3,), (3,), (1,)), f.batch_norm),
    row("MatMul", ((2, 4), (4, 3)), "", (), lambda x, y: x @ y),
    row("MatMul", ((1, 2, 4, 5), (1, 2, 3, 5)), "matmul_param { transpose_b: true }", (),
        lambda x, y: x @ y.transpose(0, 1, 3, 2)),
    row("Split", X, "", (), lambda x: (x, x), 2),
    row("Slice", X, "slice_param { axis: 2 }", (), lambda x: tuple(np.split(x, 3, axis=2)), 3),
    row("Slice", X, "slice_param { axis: -1 slice_point: 1 }", (),
        lambda x: (x[..., :1], x[..., 1:]), 2),
    row("Slice", X, "slice_param { slice_dim: 1 }", (), lambda x: tuple(np.split(x, 3, axis=1)), 3),
    row("Concat", ((1, 2, 3), (4, 2, 3)), "concat_param { concat_dim: 0 }", (),
        lambda x, y: np.concatenate([x, y])),
    row("Flatten", TWO, "flatten_param { axis: 0 end_axis: 1 }", (), lambda x: x.reshape(6, 6, 6)),
    row("Reshape", TWO, "reshape_param { shape { dim: 0 dim: -1 } axis: 2 num_axes: 1 }", (),
        lambda x: x.reshape(2, 3, 6, 1, 6)),
    row("Tile", TWO, "tile_param { axis: 2 tiles: 3 }", (), lambda x: np.tile(x, (1, 1, 3, 1))),
    row("Permute", X, "permute_param { order: 0 order: 2 }", (), lambda x: x.transpose(0, 2, 1, 3)),
    row("Crop", ((1, 3, 6, 6), (1, 2, 4, 5)), "crop_param { axis: 1 offset: [1, 2, 0] }",
        (), lambda x, _: x[:, 1:3, 2:6, 0:5]),
    row("PassThrough", X, "", (), f.pass_through),
    row("PassThrough", X,
        "pass_through_param { num_output: 12 block_height: 2 block_width: 2 }", (),
        f.pass_through),
    row("SPP", ((1, 3, 9, 9),), "spp_param { pyramid_height: 3 pool: MAX }", (),
        lambda x: f.spp(x, 3, most=True)),
    row("SPP", ((1, 3, 8, 8),), "spp_param { pyramid_height: 2 pool: AVE }", (),
        lambda x: f.spp(x, 2, most=False)),
    row("Pooling", ((1, 3, 10, 9),), "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }",
        (), lambda x: f.windows(x, 3, 2, 0, most=True, floor=True)),
    row("Pooling", ((1, 3, 10, 9),), "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }",
        (), lambda x: f.windows(x, 3, 2, 0, most=True, floor=True)),
    row("Pooling", ((1, 3, 10, 10),), "pooling_param { pool: AVE kernel_size: 4 stride: 3 pad: 2 }",
        (), lambda x: f.windows(x, 4, 3, 2, most=False, floor=False)),
    row("Pooling", ((1, 3, 7, 7),), "pooling_param { pool: AVE kernel_size: 2 stride: 2 pad: 1 }",
        (), lambda x: f.windows(x, 2, 2, 1, most=False, floor=False)),
    row("LRN", ((1, 6, 4, 4),), "lrn_param { local_size: 5 alpha: 0.5 beta: 0.6 k: 2 }", (),
        lambda x: f.lrn_across(x, 5, 0.5, 0.6, 2)),
    row("Softmax", TWO, "softmax_param { axis: -1 }", (),
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    row("ArgMax", TWO, "", (), lambda x: f.argmax_all(x, 1)[0][:, None]),
    row("ArgMax", TWO, "argmax_param { top_k: 4 }", (), lambda x: f.argmax_all(x, 4)[0][:, None]),
    row("ArgMax", TWO, "argmax_param { top_k: 4 out_max_val: true }", (),
        lambda x: np.stack(f.argmax_all(x, 4), axis=1)),
    row("ArgMax", TWO, "argmax_param { axis: 1 }", (), lambda x: x.argmax(1)[:, None] * 1.0),
    row("ArgMax", TWO, "argmax_param { axis: 3 top_k: 2 out_max_val: true }", (),
        lambda x: -np.sort(-x, axis=3)[..., :2]),
    row("Reduction", TWO, "", (), lambda x: x.sum()),
    row("Reduction", TWO, "reduction_param { operation: MEAN axis: 2 }", (),
        lambda x: x.mean((2, 3))),
    row("Reduction", TWO, "reduction_param { operation: ASUM axis: 1 coeff: 0.5 }", (),
        lambda x: 0.5 * np.abs(x).sum((1, 2, 3))),
    row("Reduction", TWO, "reduction_param { operation: SUMSQ axis: -1 }", (),
        lambda x: (x**2).sum(-1)),
    row("MVN", TWO, "mvn_param { eps: 0.5 }", (), lambda x: (x - x.mean((2, 3), keepdims=True))
        / (x.std((2, 3), keepdims=True) + 0.5)),
    row("Upsample", X, "upsample_param { scale: 3 }", (), lambda x: x.repeat(3, 2).repeat(3, 3)),
    row("Upsample", X, "upsample_param { scale_h: 2 scale_w: 4 }", (),
        lambda x: x.repeat(2, 2).repeat(4, 3)),
    row("ConvolutionDepthwise", ((1, 3, 1, 1),), "convolution_param { num_output: 3 kernel_size: 1 "
        "group: 1 }", ((3, 1, 1, 1), (3,)),
        lambda x, w, b: x * w.reshape(1, 3, 1, 1) + b.reshape(1, 3, 1, 1)),
    row("DepthwiseConvolution", ((1, 3, 1, 1),), "convolution_param { num_output: 3 kernel_size: 1 "
        "group: 3 bias_term: false }", ((3, 1, 1, 1),), lambda x, w: x * w.reshape(1, 3, 1, 1)),
    row("LSTM", ((4, 2, 3, 2), (4, 2)), "recurrent_param { num_output: 5 }",
        ((20, 6), (20,), (20, 5)), f.lstm),
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]} {form[2]}"[:80])
def test_a_layer_gives_the_numbers_of_its_definition(tmp_path: Path, form) -> None:
    kind, shapes, more, blobs, formula, count = form
    names = [f"x{index}" for index in range(len(shapes))]
    tops = ["y"] if count == 1 else [f"y{index}" for index in range(count)]
    feed = nets.noise(dict(zip(names, shapes, strict=True)))
    if kind == "LSTM":
        feed["x1"] = (np.abs(feed["x1"]) > 0.5).astype(np.float32)
    weights = [np.abs(each) + 0.5 for each in nets.noise(dict(enumerate(blobs)), 1).values()]
    text = nets.inputs(dict(zip(names, shapes, strict=True))) + nets.layer(kind, names, tops, more)
    files = nets.write(tmp_path, text, {"it": weights} if weights else {})
    own = nets.run(nets.read(files), feed)
    wide = [each.astype(np.float64) for each in (*feed.values(), *weights)]
    wanted = formula(*wide)
    for top, value in zip(tops, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        assert own[top].shape == np.shape(value)
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(own[top], value, rtol=0, atol=1e-5 * scale)


def run(tmp_path: Path, text: str, blobs, feed):
    return nets.run(nets.read(nets.write(tmp_path, text, blobs)), feed)


@pytest.mark.parametrize("kind", ["Upsample", "MaxUnpool"])
def test_maxima_go_back_to_their_places(tmp_path: Path, kind: str) -> None:
    x = nets.noise({"x": (1, 3, 6, 4)})
    text = nets.inputs({"x": (1, 3, 6, 4)})
    text += nets.layer(
        "Pooling", ["x"], ["p", "m"], "pooling_param { kernel_size: 2 stride: 2 }", "p"
    )
    text += nets.layer(kind, ["p", "m"], ["y"])
    np.testing.assert_array_equal(run(tmp_path, text, {}, x)["y"], f.unpool(x["x"]))


def test_regions_give_the_maxima_of_their_cells(tmp_path: Path) -> None:
    shapes = {"x": (1, 3, 12, 10), "r": (2, 5)}
    feed = nets.noise(shapes)
    feed["r"] = np.array([[0, 2, 4, 13, 17], [0, 0, 0, 19, 23]], np.float32)
    more = "roi_pooling_param { pooled_h: 3 pooled_w: 3 spatial_scale: 0.5 }"
    text = nets.inputs(shapes) + nets.layer("ROIPooling", ["x", "r"], ["y"], more)
    found = run(tmp_path, text, {}, feed)["y"]
    np.testing.assert_array_equal(found, f.roi_pool(feed["x"], feed["r"], 0.5, 3).astype("f4"))


def test_regions_give_the_means_of_their_cells(tmp_path: Path) -> None:
    shapes = {"x": (1, 18, 9, 11), "r": (4, 5)}
    feed = nets.noise(shapes)
    regions = [[0, 2, 4, 13, 17], [0, 0, 0, 21, 17], [0, 5, 5, 5, 5], [0, 30, 30, 40, 40]]
    feed["r"] = np.array(regions, np.float32)
    more = "psroi_pooling_param { spatial_scale: 0.5 output_dim: 2 group_size: 3 }"
    text = nets.inputs(shapes) + nets.layer("PSROIPooling", ["x", "r"], ["y"], more)
    found = run(tmp_path, text, {}, feed)["y"]
    wanted = f.psroi_pool(feed["x"], feed["r"], 0.5, 2, 3)
    assert (wanted[3] == 0).all()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_every_layer_has_an_example() -> None:
    shown = {case.kind for case in CASES} | {form[0] for form in FORMS}
    assert set(WRITERS) - shown == {"MaxUnpool", "PSROIPooling", "ROIPooling"}  # the tests above
