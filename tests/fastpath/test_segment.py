"""`FastSegment`: what it is fed with, what it refuses, and that frames may run side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from bpu_common.errors import DeviceFault, InputError, ModelFormatError
from bpu_common.model import BpuSegment, ExternalConstant
from bpu_common.tensor import DType, InputType, Layout
from bpu_sim.fastpath import FastSegment
from tests.support.nets_onnx_out import NetBuilder, reference
from tests.support.segments_fastpath import fast_segment


@pytest.fixture(scope="module")
def net() -> NetBuilder:
    net = NetBuilder(0)
    net.conv(net.conv(net.input("x", (6, 4, 3), InputType.NV12), 16, (3, 3)), 4, int32=True)
    return net


@pytest.fixture(scope="module")
def segment(net: NetBuilder) -> BpuSegment:
    return fast_segment(net.network(net.ops[-1].y))


def test_nv12_input(net: NetBuilder, segment: BpuSegment) -> None:
    network = net.network(net.ops[-1].y)
    raw = np.random.default_rng(0).integers(0, 256, 36).astype(np.uint8)
    chroma = raw[24:].reshape(3, 2, 2).repeat(2, axis=0).repeat(2, axis=1)
    pixels = np.concatenate([raw[:24].reshape(6, 4, 1), chroma], axis=2)
    codes = (pixels.astype(np.int16) - 128).astype(np.int8)[None]
    fast = FastSegment(segment, {"x": network.inputs[0]}, 1)
    got = fast.run({"x": raw})
    wanted = reference(network, {"x": codes})
    for name in segment.outputs:
        assert got[name].dtype == np.int32
        np.testing.assert_array_equal(got[name][0], wanted[name])


@pytest.mark.parametrize("layout", [Layout.NHWC, Layout.NCHW])
def test_interleaved_and_planar_input(net: NetBuilder, segment: BpuSegment, layout: Layout) -> None:
    network = net.network(net.ops[-1].y)
    image = replace(network.inputs[0], input_type=InputType.RGB, layout=layout)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 4, 3)).astype(np.uint8)
    raw = pixels if layout is Layout.NHWC else pixels.transpose(0, 3, 1, 2)
    got = FastSegment(segment, {"x": image}, 1).run({"x": np.ascontiguousarray(raw)})
    wanted = reference(network, {"x": (pixels ^ 0x80).view(np.int8)})
    for name in segment.outputs:
        np.testing.assert_array_equal(got[name][0], wanted[name])


def test_frames_side_by_side(segment: BpuSegment) -> None:
    fast = FastSegment(segment, {}, 2)
    frames = np.random.default_rng(0).integers(-128, 128, (16, 1, 6, 4, 3)).astype(np.int8)
    alone = [fast.run({"x": frame}) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: fast.run({"x": frame}), frames))
    for one, other in zip(alone, together, strict=True):
        for name in segment.outputs:
            np.testing.assert_array_equal(one[name], other[name])


def test_weights_may_be_a_read_only_view(segment: BpuSegment) -> None:
    view = memoryview(bytes(segment.weights))
    fast = FastSegment(replace(segment, weights=view, fast_path=memoryview(segment.fast_path)), {})
    assert fast.run({"x": np.zeros((1, 6, 4, 3), np.int8)})


def test_refused(segment: BpuSegment) -> None:
    first = segment.constants[0]
    beyond = ExternalConstant(first.name, len(segment.weights), first.dtype, first.shape)
    negative = ExternalConstant(first.name, -64, first.dtype, first.shape)
    other = ExternalConstant(first.name, 0, DType.INT32, first.shape)
    for constant in (beyond, negative, other):
        with pytest.raises(ModelFormatError):
            FastSegment(replace(segment, constants=(constant, *segment.constants[1:])), {})
    with pytest.raises(ModelFormatError):
        FastSegment(replace(segment, outputs=("other",)), {})
    with pytest.raises(ModelFormatError):
        FastSegment(replace(segment, fast_path=b"no graph"), {})


def test_bad_frames(segment: BpuSegment) -> None:
    fast = FastSegment(segment, {})
    with pytest.raises(InputError, match="missing"):
        fast.run({})
    with pytest.raises((InputError, DeviceFault)):
        fast.run({"x": np.zeros((1, 5, 4, 3), np.int8)})
