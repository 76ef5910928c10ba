"""Each operation against scalar loops in plain Python, written from its definition."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bpu_common.errors import DeviceFault
from bpu_common.limits import INT32_LIMIT
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseEntry, EltwiseKind, Requant, ResizeMode
from bpu_common.tensor import DType
from bpu_sim import arith

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADS = st.tuples(*[st.integers(0, 2)] * 4)


def random_params(rng: np.random.Generator, channels: int) -> ChannelParams:
    return ChannelParams(
        rng.integers(-(2**15), 2**15, channels).astype(np.int32),
        rng.integers(0, 3, channels).astype(np.int32),
        rng.integers(0, 8, channels).astype(np.int32),
        rng.integers(2**14, 2**15, channels).astype(np.int32),
        rng.integers(8, 24, channels).astype(np.int32),
    )


def scalar_requantize(acc: int, params: ChannelParams, c: int, clamp: tuple[int, int]) -> int:
    biased = acc + int(params.bias_q[c]) * 2 ** int(params.bias_shift[c])
    first = min(max(biased // 2 ** int(params.right_shift[c]), -32768), 32767)
    second = first * int(params.multiplier[c]) // 2 ** int(params.out_shift[c])
    return min(max(second, clamp[0]), clamp[1])


def scalar_conv(x, weights, y_shape, stride, dilation, pads, groups, upsample):
    """Accumulators without bias: sums over the definition, one product at a time."""
    rows, columns, outputs = y_shape
    _, kernel_h, kernel_w, depth = weights.shape
    height, width, _ = x.shape
    acc = np.zeros(y_shape, object)
    for r, c, o in np.ndindex(rows, columns, outputs):
        total = 0
        first_channel = o // (outputs // groups) * depth
        for i, j, d in np.ndindex(kernel_h, kernel_w, depth):
            row = r * stride[0] + i * dilation[0] - pads[0]
            column = c * stride[1] + j * dilation[1] - pads[1]
            if row % upsample[0] or column % upsample[1]:
                continue
            row, column = row // upsample[0], column // upsample[1]
            if 0 <= row < height and 0 <= column < width:
                total += int(x[row, column, first_channel + d]) * int(weights[o, i, j, d])
        acc[r, c, o] = total
    return acc


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    PAIRS,
    PAIRS,
    PAIRS,
    PADS,
    PAIRS,
    st.sampled_from([(1, 2, 3), (2, 1, 1), (3, 1, 2), (2, 3, 2)]),
    st.sampled_from([(-128, 127), (0, 127), (0, 40)]),
)
def test_conv(seed, size, kernel, stride, dilation, pads, upsample, channels, clamp) -> None:
    groups, depth, per_group = channels
    spread = [(size[k] - 1) * upsample[k] + 1 + pads[k] + pads[k + 2] for k in (0, 1)]
    reach = [(kernel[k] - 1) * dilation[k] + 1 for k in (0, 1)]
    if spread[0] < reach[0] or spread[1] < reach[1]:
        return
    rng = np.random.default_rng(seed)
    x = rng.choice([-128, -1, 0, 1, 127, *range(-100, 100, 7)], (*size, groups * depth))
    x = x.astype(np.int8)
    outputs = groups * per_group
    weights = rng.integers(-127, 128, (outputs, *kernel, depth)).astype(np.int8)
    params = random_params(rng, outputs)
    options = {"stride": stride, "dilation": dilation, "pads": pads, "groups": groups}
    y = arith.conv(x, weights, params, upsample=upsample, clamp=clamp, **options)
    wide = arith.conv(x, weights, params, upsample=upsample, out=DType.INT32, **options)
    assert y.shape[:2] == tuple((spread[k] - reach[k]) // stride[k] + 1 for k in (0, 1))
    acc = scalar_conv(x, weights, y.shape, stride, dilation, pads, groups, upsample)
    assert wide.dtype == np.int32
    for r, c, o in np.ndindex(*y.shape):
        assert wide[r, c, o] == acc[r, c, o] + int(params.bias[o])
        assert y[r, c, o] == scalar_requantize(acc[r, c, o], params, o, clamp)


@pytest.mark.parametrize("code", [127, -128, -127])
def test_conv_of_extreme_values(code: int) -> None:
    x = np.full((5, 5, 64), code, np.int8)
    weights = np.full((2, 3, 3, 64), 127, np.int8)
    weights[1] = -127
    zeros = np.zeros(2, np.int32)
    plain = ChannelParams(zeros, zeros, zeros, zeros, zeros)
    wide = arith.conv(x, weights, plain, out=DType.INT32)
    assert (wide == np.array([1, -1]) * (code * 127 * 9 * 64)).all()


def test_conv_faults_when_an_accumulator_leaves_int32() -> None:
    x = np.full((1, 1, 200_000), 127, np.int8)
    weights = np.full((1, 1, 1, 200_000), 127, np.int8)
    zeros = np.zeros(1, np.int32)
    params = ChannelParams(zeros, zeros, zeros, zeros, zeros)
    assert arith.accumulator_bound(weights, params).max() > INT32_LIMIT
    with pytest.raises(DeviceFault, match="int32"):
        arith.conv(x, weights, params)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.integers(3, 7), PAIRS, PAIRS, PADS)
def test_max_pool(seed, height, width, kernel, stride, pads) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, (height, width, 2)).astype(np.int8)
    y = arith.max_pool(x, kernel, stride, pads)
    for r, c, d in np.ndindex(*y.shape):
        seen = [
            int(x[row, column, d])
            for row in range(r * stride[0] - pads[0], r * stride[0] - pads[0] + kernel[0])
            for column in range(c * stride[1] - pads[1], c * stride[1] - pads[1] + kernel[1])
            if 0 <= row < height and 0 <= column < width
        ]
        assert y[r, c, d] == max(seen, default=-128)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(list(EltwiseKind)),
    st.sampled_from([(3, 4, 5), (1, 1, 5), (1, 1, 1)]),
    st.integers(-128, 127),
    st.integers(-128, 127),
    st.integers(0, 8),
    st.integers(14, 26),
)
def test_eltwise(seed, kind, b_shape, ka, kb, right_shift, out_shift) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, (3, 4, 5)).astype(np.int8)
    b = rng.integers(-128, 128, b_shape).astype(np.int8)
    requant = Requant(
        int(rng.integers(-40000, 40000)), right_shift, int(rng.integers(2**14, 2**15)), out_shift
    )
    second = None if kind is EltwiseKind.SCALE else b
    y = arith.eltwise(kind, a, second, entries=[EltwiseEntry(ka, kb, requant)], clamp=(-100, 90))
    wide = np.broadcast_to(b, a.shape)
    for index in np.ndindex(*a.shape):
        first, other = int(a[index]), int(wide[index])
        acc = {
            EltwiseKind.ADD: first * ka + other * kb,
            EltwiseKind.MUL: first * other,
            EltwiseKind.SCALE: first * ka,
        }[kind]
        value = min(max((acc + requant.bias) // 2**right_shift, -32768), 32767)
        assert y[index] == min(max(value * requant.multiplier // 2**out_shift, -100), 90)


def test_eltwise_without_its_operand_faults() -> None:
    a = np.zeros((1, 1, 1), np.int8)
    with pytest.raises(DeviceFault):
        arith.eltwise(
            EltwiseKind.ADD, a, None, entries=[EltwiseEntry(1, 1, Requant(0, 0, 1 << 14, 14))]
        )


@pytest.mark.parametrize("count", [1, 3])
def test_lut(count: int) -> None:
    rng = np.random.default_rng(count)
    tables = rng.integers(-128, 128, (count, 256)).astype(np.int8)
    x = np.arange(-128, 128).astype(np.int8).reshape(16, 16, 1).repeat(3, axis=2)
    y = arith.lut(x, tables)
    for r, c, d in np.ndindex(*x.shape):
        assert y[r, c, d] == tables[d if count > 1 else 0, int(x[r, c, d]) + 128]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(ResizeMode)))
def test_resize(seed, mode) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice([-128, 127, 0, 5, -77], (4, 5, 2)).astype(np.int8)
    rows, columns = (
        Axis(*(tuple(rng.integers(0, top, n).tolist()) for top in (size, size, 257)))
        for n, size in ((6, 4), (3, 5))
    )
    y = arith.resize(x, mode, rows, columns)
    assert y.shape == (6, 3, 2)
    for r, c, d in np.ndindex(*y.shape):
        corners = [int(x[i, j, d]) for i in (rows.low[r], rows.high[r])
                   for j in (columns.low[c], columns.high[c])]  # fmt: skip
        if mode is ResizeMode.NEAREST:
            assert y[r, c, d] == corners[0]
            continue
        f, g = rows.frac[r], columns.frac[c]
        weights = ((256 - f) * (256 - g), (256 - f) * g, f * (256 - g), f * g)
        total = sum(weight * value for weight, value in zip(weights, corners, strict=True))
        assert y[r, c, d] == (total + 2**15) // 2**16


@pytest.mark.parametrize("mode", ["DCR", "CRD", None])
@pytest.mark.parametrize("block", [2, 3])
def test_space_depth_equals_onnxruntime(mode: str | None, block: int) -> None:
    rng = np.random.default_rng(block)
    deep = rng.integers(-128, 128, (2, 5, 4 * block * block)).astype(np.int8)
    flat = rng.integers(-128, 128, (2 * block, 5 * block, 4)).astype(np.int8)
    x = deep if mode else flat
    attributes = {"mode": mode} if mode else {}
    kind = "DepthToSpace" if mode else "SpaceToDepth"
    node = helper.make_node(kind, ["x"], ["y"], blocksize=block, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, None, None, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    batch = x.transpose(2, 0, 1)[None].astype(np.float32)
    expected = session.run(None, {"x": batch})[0][0].transpose(1, 2, 0)
    dcr = mode != "CRD"
    y = arith.space_depth(x, block, to_space=mode is not None, dcr=dcr)
    assert (y == expected).all()
    assert (arith.space_depth(y, block, to_space=mode is None, dcr=dcr) == x).all()
