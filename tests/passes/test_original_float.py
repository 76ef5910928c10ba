"""The preprocessing node: what the board delivers becomes what the network was trained on."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bpu_common.image import rgb_to_yuv444
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler import passes
from bpu_host.compiler.config.conditions import TRAIN_TO_RT
from bpu_host.compiler.config.values import InputConfig
from bpu_host.compiler.frontend import prepare
from tests.support.nets_front import Net, run

MEAN, SCALE = (120.0, 110.0, 100.0), (0.01, 0.02, 0.03)


def network(nhwc: bool, channels: int) -> onnx.ModelProto:
    net = Net([1, 6, 8, channels] if nhwc else [1, channels, 6, 8])
    x = net.add("Transpose", "data", perm=[0, 3, 1, 2]) if nhwc else "data"
    return net.model(net.conv(x, (channels, 4)))


def board_pixels(rgb: np.ndarray, rt: InputType, train: InputType, video: bool) -> np.ndarray:
    """(H, W, C) float pixels as the hardware delivers them (before - 128)."""
    if train is InputType.YUV444 or train is InputType.GRAY:
        return rgb[..., :1] if train is InputType.GRAY else rgb
    if rt in (InputType.NV12, InputType.YUV444):
        return rgb_to_yuv444(rgb.astype(np.uint8), video_range=video).astype(np.float32)
    return rgb[..., ::-1] if rt is InputType.BGR else rgb


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize(
    ("train", "rt"),
    [(InputType(train), InputType(rt)) for train, rts in TRAIN_TO_RT.items() for rt in rts],
)
def test_every_type_pair(train: InputType, rt: InputType, nhwc: bool, video: bool) -> None:
    if video and rt is not InputType.NV12:
        return
    channels = 1 if train is InputType.GRAY else 3
    mean, scale = MEAN[:channels], SCALE[:channels]
    proto = network(nhwc, channels)
    layout = Layout.NHWC if nhwc else Layout.NCHW
    shape = (1, 6, 8, channels) if nhwc else (1, channels, 6, 8)
    config = InputConfig(
        "data", shape, train, layout, rt, Layout.NHWC, video, mean=mean, scale=scale
    )
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.float32)
    pixels = rgb[..., :1] if train is InputType.GRAY else rgb
    trained = pixels[..., ::-1] if train is InputType.BGR else pixels
    expected_input = (trained - np.array(mean, np.float32)) * np.array(scale, np.float32)
    centre = 128.0 if train is not InputType.FEATUREMAP else 0.0
    board = board_pixels(rgb, rt, train, video) - centre

    def fit(picture: np.ndarray) -> np.ndarray:
        order = picture if nhwc else picture.transpose(2, 0, 1)
        return np.ascontiguousarray(order[None], np.float32)

    expected = run(proto, {"data": fit(expected_input)})[0]
    model = passes.original_float(prepare(proto, "net.onnx", {}), [config])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    first = next(iter(model.graph))
    assert (first.name, first.domain) == ("HZ_PREPROCESS_FOR_data", "horizon")
    original = run(ir.to_proto(model), {"data": fit(board)})[0]
    passes.optimize(model)
    result = run(ir.to_proto(model), {"data": fit(board)})[0]
    np.testing.assert_allclose(original, result, rtol=1e-4, atol=1e-4)
    # Bytes of YUV lose up to one level of each colour: 3 levels at most after the matrix.
    tolerance = 1e-4 if rt not in (InputType.NV12, InputType.YUV444) else 0.25
    np.testing.assert_allclose(expected, result, atol=tolerance)
    assert all(node.domain == "" for node in model.graph)
    assert "HZ_PREPROCESS_FOR_data" in [node.name for node in model.graph]


def test_a_featuremap_without_norm_stays_as_it_is() -> None:
    model = prepare(network(False, 3), "net.onnx", {})
    config = InputConfig(
        "data",
        (1, 3, 6, 8),
        InputType.FEATUREMAP,
        Layout.NCHW,
        InputType.FEATUREMAP,
        Layout.NCHW,
    )
    before = model.graph.num_nodes()
    assert passes.original_float(model, [config]).graph.num_nodes() == before
