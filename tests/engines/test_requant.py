"""The requantization body, in onnxruntime, over every value the first stage can give."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.params import ChannelParams
from bpu_sim import arith
from bpu_sim.engines.onnx.emitter import Emitter, model_bytes, value_info
from bpu_sim.engines.ort import requant
from bpu_sim.engines.ort.requant import Form, accumulator_offset, accumulator_scale, affine
from bpu_sim.engines.ort.stage import Channels, Stage, emulate, find_stage

INT16 = np.arange(-(1 << 15), 1 << 15, dtype=np.int64)
CLAMPS = ((-128, 127), (0, 127), (0, 93), (-128, 40), (31, 31))


def random_params(
    rng: np.random.Generator, count: int, low: float = 1e-6, high: float = 2.0
) -> ChannelParams:
    ratio = np.exp(rng.uniform(np.log(low), np.log(high), count))
    bias = rng.normal(0, 20, count) / ratio
    return arith.channel_params(bias, ratio, np.ones(count))


def channels_of(params: ChannelParams, reach: int, clamp: tuple[int, int]) -> Channels:
    shift, multiplier, out_shift = (
        v.astype(np.int64) for v in (params.right_shift, params.multiplier, params.out_shift)
    )
    bias = params.bias
    return Channels(shift, multiplier, out_shift, bias, bias - reach, bias + reach, clamp)


def split_stage(channels: Channels) -> Stage:
    """The form of last resort, which `find_stage` takes only rarely."""
    unused = np.zeros(channels.multiplier.size, np.float32)
    split = (channels.multiplier, channels.out_shift)
    return Stage(True, True, channels.clamp, unused, unused, split)


def run_body(channels: Channels, stage: Stage, acc: np.ndarray) -> np.ndarray:
    """Codes of accumulators (C, N) (bias included) by the ONNX body."""
    count = channels.multiplier.size
    form = Form(count)
    scale = accumulator_scale(stage, form, channels.right_shift)
    late, early = requant.split_bias(stage, channels.right_shift, channels.bias)
    emitter = Emitter()
    x = affine(
        emitter,
        "x",
        form,
        scale,
        early * scale + accumulator_offset(stage, form, channels.right_shift),
    )
    y = requant.requantized(emitter, x, form, stage, late.astype(np.float64))
    shape = (1, count, 1, acc.shape[1])
    data = model_bytes(
        emitter, "t", ([value_info("x", "float32", shape)], [value_info(y, "float32", shape)])
    )
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    plain = (acc - channels.bias[:, None]).astype(np.float32).reshape(shape)
    return session.run(None, {"x": plain})[0].reshape(acc.shape).astype(np.int64)


@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("count", [16, 5])
@pytest.mark.parametrize("split", [False, True])
def test_every_value_of_the_first_stage(clamp: tuple[int, int], count: int, split: bool) -> None:
    rng = np.random.default_rng(count)
    params = random_params(rng, count, 1e-4)
    assert params.right_shift.max() >= 1
    assert params.right_shift.min() == 0
    channels = channels_of(params, 1 << 21, clamp)
    stage = split_stage(channels) if split else find_stage(channels)
    assert stage is not None
    low_bits = rng.integers(0, 1 << channels.right_shift, (INT16.size, count)).T
    acc = (INT16[None] << channels.right_shift[:, None]) + low_bits
    acc = np.clip(acc, channels.lowest[:, None], channels.highest[:, None])
    assert (run_body(channels, stage, acc) == channels.exact(acc)).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    reach=st.integers(1, 1 << 22),
    clamp=st.sampled_from(CLAMPS),
    high=st.sampled_from([1e-4, 0.01, 0.5, 100.0]),
)
def test_proved_constants_hold_everywhere(
    seed: int, reach: int, clamp: tuple[int, int], high: float
) -> None:
    """Not only at the steps: random accumulators, fused and not, clamped and not."""
    rng = np.random.default_rng(seed)
    channels = channels_of(random_params(rng, 8, 1e-7, high), reach, clamp)
    stage = find_stage(channels)
    if stage is None:
        assert (channels.out_shift < 8).any()
        return
    if stage.split is not None:
        return
    acc = rng.integers(channels.lowest[:, None], channels.highest[:, None] + 1, (8, 4000))
    for fused in (False, True):
        for clamped in (False, True):
            got = emulate(channels, stage, acc, fused=fused, clamped=clamped)
            assert (got == channels.exact(acc)).all()


def test_constants_are_found_for_almost_every_channel() -> None:
    rng = np.random.default_rng(7)
    for clamp in CLAMPS[:2]:
        channels = channels_of(random_params(rng, 1500, 1e-4, 0.05), 1 << 20, clamp)
        stage = find_stage(channels)
        assert stage is not None
        assert stage.split is None


def test_saturation_that_shows_is_kept() -> None:
    """With r smaller than the rule's, int16 saturation limits y; the body must do it too."""
    one = np.ones(16, np.int64)
    far = one << 20
    channels = Channels(0 * one, 16384 * one, 23 * one, 5 * one, -far, far, (-128, 127))
    stage = find_stage(channels)
    assert stage is not None
    assert stage.saturates
    acc = np.linspace(-(1 << 20), 1 << 20, 9999).astype(np.int64)[None].repeat(16, 0)
    assert channels.exact(acc).max() == 63
    assert (run_body(channels, stage, acc) == channels.exact(acc)).all()
