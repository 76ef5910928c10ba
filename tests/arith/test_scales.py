"""The parameter-choosing rules against exact rational arithmetic and onnxruntime."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bpu_common.errors import ModelUnsupported
from bpu_common.limits import INT32_LIMIT
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseKind
from bpu_sim import arith

SCALES = st.floats(min_value=1e-4, max_value=1.0)


def nearest_with_exponent(steps: Fraction) -> tuple[int, int]:
    """(q, e), the smallest e for which round(steps / 2^e) fits int16; Fraction rounds half even."""
    for exponent in range(17):
        q = round(steps / 2**exponent)
        if -32768 <= q <= 32767:
            return q, exponent
    raise AssertionError("bias out of range")


@settings(max_examples=300, deadline=None)
@given(st.floats(-50.0, 50.0), SCALES, st.floats(1e-3, 0.1), SCALES, st.booleans())
def test_bias_is_the_exact_value_rounded_once(
    bias: float, s_in: float, s_w: float, s_out: float, wide: bool
) -> None:
    acc_scale, ratio = s_in * s_w, s_in * s_w / s_out
    assume(abs(bias) / acc_scale + 0.5 / ratio < 2**31)
    params = arith.channel_params(np.array([bias]), np.array([ratio]), np.array([acc_scale]), wide)
    exact = Fraction(bias) / Fraction(acc_scale)
    if not wide:
        exact += Fraction(1, 2) / Fraction(ratio)
    q, exponent = nearest_with_exponent(exact)
    got = (int(params.bias_q[0]), int(params.bias_shift[0]))
    distance_to_tie = abs((exact / 2**exponent) % 1 - Fraction(1, 2))
    at_edge = abs(abs(exact) / 2**exponent - 32767) < 2 or abs(exact) / 2**exponent < 16385
    if distance_to_tie > Fraction(1, 2**20) and (exponent == 0 or not at_edge):
        assert got == (q, exponent)
    assert abs(int(params.bias[0]) - exact) <= Fraction(2 ** got[1], 2) * (1 + Fraction(1, 2**20))
    assert params.bias[0] == got[0] << got[1]


def test_published_bias_sample() -> None:
    """41200.76 accumulator steps are stored as 20600 with b_scale 1 (docs/arithmetic.md)."""
    params = arith.channel_params(np.array([41200.76]), np.ones(1), np.ones(1), int32_output=True)
    assert (params.bias_q[0], params.bias_shift[0]) == (20600, 1)
    assert (params.right_shift[0], params.multiplier[0], params.out_shift[0]) == (0, 0, 0)


def test_int32_outputs_carry_no_rounding_term() -> None:
    bias = np.array([0.7, -1.2])
    acc_scale = np.array([1e-3, 2e-3])
    params = arith.channel_params(bias, np.zeros(2), acc_scale, int32_output=True)
    assert params.bias.tolist() == [700, -600]


def test_parameters_survive_their_table() -> None:
    rng = np.random.default_rng(4)
    acc_scale = rng.uniform(1e-5, 1e-3, 40)
    params = arith.channel_params(rng.normal(0, 3, 40), acc_scale / 0.04, acc_scale)
    again = ChannelParams.from_bytes(params.to_bytes(), 40)
    for field in ("bias_q", "bias_shift", "right_shift", "multiplier", "out_shift"):
        assert (getattr(params, field) == getattr(again, field)).all()


@settings(deadline=None)
@given(st.floats(-6.0, 6.0), SCALES, st.floats(1e-3, 1.0))
def test_dead_channel_gives_its_bias_alone(bias: float, s_in: float, s_out: float) -> None:
    weights = np.zeros((1, 1, 1, 4), np.int8)
    dead = arith.dead_channels(weights)
    assert dead.tolist() == [True]
    acc_scale = np.array([s_in / 127])
    params = arith.channel_params(np.array([bias]), acc_scale / s_out, acc_scale, dead=dead)
    assert (params.multiplier[0], params.right_shift[0]) == (1 << 14, 0)
    x = np.full((1, 1, 4), 77, np.int8)
    y = int(arith.conv(x, weights, params)[0, 0, 0])
    assert abs(y - min(max(bias / s_out, -128), 127)) <= 0.5 + 1e-6


def test_bias_beyond_the_table_is_refused_and_a_coarser_weight_helps() -> None:
    s_in, s_out = 0.05, 0.1
    weights = np.full((1, 1, 1, 3), 1e-12)
    bias = np.array([0.5])
    plain = s_in * arith.weight_scales(weights)
    with pytest.raises(ModelUnsupported):
        arith.channel_params(bias, plain / s_out, plain)
    scales = arith.weight_scales(weights, arith.least_weight_scale(bias, s_in, s_out))
    codes = arith.quantize_weights(weights, scales)
    params = arith.channel_params(
        bias, s_in * scales / s_out, s_in * scales, dead=arith.dead_channels(codes)
    )
    assert arith.accumulator_bound(codes, params).max() <= INT32_LIMIT
    assert arith.conv(np.zeros((1, 1, 3), np.int8), codes, params)[0, 0, 0] == 5


@settings(deadline=None)
@given(
    s_in=st.floats(1e-6, 1e3),
    magnitude=st.floats(1e-45, 1e-30),
    bias=st.floats(-1, 1),
)
def test_scales_of_int32_results_are_normal_float32_numbers(
    s_in: float, magnitude: float, bias: float
) -> None:
    weights, biases = np.full((1, 1, 1, 3), magnitude), np.array([bias])
    scales = arith.weight_scales(weights, arith.least_weight_scale(biases, s_in, None))
    stored = (s_in * scales).astype(np.float32)
    assert (stored >= np.finfo(np.float32).tiny).all()
    codes = arith.quantize_weights(weights, scales)
    params = arith.channel_params(biases, scales, s_in * scales, int32_output=True)
    assert arith.accumulator_bound(codes, params).max() <= INT32_LIMIT


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(-128, 127), (0, 127), (-128, -3)]))
def test_accumulator_bound_is_reached_and_never_passed(seed: int, x_range: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (3, 1, 1, 6)).astype(np.int8)
    zeros = np.zeros(3, np.int32)
    bias = rng.integers(-20000, 20000, 3).astype(np.int32)
    params = ChannelParams(bias, zeros, zeros, zeros, zeros)
    bound = arith.accumulator_bound(weights, params, x_range)
    for channel in range(3):
        terms = [[int(w) * x for x in (*x_range, 0)] for w in weights[channel].ravel()]
        up = max(0, int(bias[channel])) + sum(max(t) for t in terms)
        down = min(0, int(bias[channel])) + sum(min(t) for t in terms)
        assert bound[channel] == max(up, -down)


def test_weight_codes() -> None:
    weights = np.zeros((3, 1, 1, 4), np.float32)
    weights[0, 0, 0] = [1.27, -1.27, 0.005, 0.015]
    weights[2, 0, 0] = [2.54, 0.0, 0.0, -0.02]
    scales = arith.weight_scales(weights)
    assert scales == pytest.approx([0.01, 0.01, 0.02])  # the dead channel: the finest of the others
    codes = arith.quantize_weights(weights, np.array([0.01, 0.01, 0.02]))
    assert codes.reshape(3, 4)[0, :2].tolist() == [127, -127]
    assert codes.reshape(3, 4)[2].tolist() == [127, 0, 0, -1]
    assert arith.dead_channels(codes).tolist() == [False, True, False]
    assert arith.weight_scales(np.zeros((2, 3))).tolist() == [1 / 127, 1 / 127]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), SCALES)
def test_quantize_equals_onnxruntime(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 60 * scale, 64).astype(np.float32)
    ties = ((np.arange(-130, 130) + 0.5) * np.float32(scale)).astype(np.float32)
    x = np.concatenate([x, ties, np.array([0, 1e9, -1e9], np.float32)])
    assert (arith.quantize(x, scale) == run_quantize_linear(x, scale)).all()


def run_quantize_linear(x: np.ndarray, scale: float) -> np.ndarray:
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT8, x.shape)],
        [helper.make_tensor("z", TensorProto.INT8, [], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x, "s": np.array(scale, np.float32)})[0]


def test_dequantize_per_channel() -> None:
    codes = np.array([[[100, -3]]], np.int32)
    real = arith.dequantize(codes, np.array([0.5, 2.0], np.float32))
    assert real.tolist() == [[[50.0, -6.0]]]
    assert real.dtype == np.float32


@settings(max_examples=150, deadline=None)
@given(SCALES, SCALES, st.integers(0, 2**32 - 1))
def test_add_is_within_a_step_of_the_real_sum(s_a: float, s_b: float, seed: int) -> None:
    s_y = (s_a + s_b) * 0.8
    entry = arith.eltwise_add_constants(s_a, s_b, s_y)
    assert 1 <= max(entry.ka, entry.kb) <= 127
    assert min(entry.ka, entry.kb) >= 0
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-128, 128, (2, 5, 5, 4)).astype(np.int8)
    y = arith.eltwise(EltwiseKind.ADD, a, b, entries=[entry])
    real = np.clip((a * s_a + b * s_b) / s_y, -128, 127)
    assert np.abs(y - real).max() <= 0.5 + 0.6


def test_add_of_equal_scales_is_exact() -> None:
    entry = arith.eltwise_add_constants(0.03, 0.03, 0.03)
    assert entry.ka == entry.kb
    a = np.arange(-128, 128).astype(np.int8).reshape(1, 256, 1)
    b = np.full_like(a, 5)
    y = arith.eltwise(EltwiseKind.ADD, a, b, entries=[entry])
    assert (y == np.clip(a.astype(int) + 5, -128, 127)).all()


@settings(max_examples=100, deadline=None)
@given(SCALES, SCALES, st.integers(0, 2**32 - 1))
def test_mul_is_within_a_step_of_the_real_product(s_a: float, s_b: float, seed: int) -> None:
    s_y = s_a * s_b * 100
    entry = arith.eltwise_mul_constants(s_a, s_b, s_y)
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, (5, 5, 4)).astype(np.int8)
    for shape in ((5, 5, 4), (1, 1, 4), (1, 1, 1)):
        b = rng.integers(-128, 128, shape).astype(np.int8)
        y = arith.eltwise(EltwiseKind.MUL, a, b, entries=[entry])
        real = np.clip(a.astype(int) * b.astype(int) * (s_a * s_b / s_y), -128, 127)
        assert np.abs(y - real).max() <= 0.55


@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0, -1.0, 0.37, -1.9])
def test_scale_moves_codes_to_another_scale(factor: float) -> None:
    entry = arith.scale_constants(factor * 0.02, 0.02)
    assert entry.kb == 0
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 256, 1)
    y = arith.eltwise(EltwiseKind.SCALE, x, None, entries=[entry])
    real = np.clip(x * factor, -128, 127)
    assert np.abs(y - real).max() <= 0.52
    if factor in {1.0, 2.0, -1.0}:
        assert (y == real).all()


def test_lut_rounds_half_to_even_and_saturates() -> None:
    table = arith.lut_table(lambda x: x / 2, 1.0, 1.0)
    assert table[128 + 1] == 0  # 0.5
    assert table[128 + 3] == 2  # 1.5
    assert table[128 - 3] == -2
    assert arith.lut_table(np.exp, 1.0, 0.01).max() == 127
    undefined = arith.lut_table(np.log, 0.1, 0.01)
    assert undefined[0] == 0
    assert undefined[128] == -128
    assert undefined[255] == 127


def test_relu_bounds() -> None:
    assert arith.relu_clamp(0.05) == (0, 127)
    assert arith.relu_clamp(6 / 127, 6.0) == (0, 127)
    assert arith.relu_clamp(0.1, 6.0) == (0, 60)
