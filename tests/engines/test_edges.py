"""Edge operations in both engines, against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import Cast, Dequantize, Quantize, Reshape, Softmax, Transpose
from bpu_common.tensor import DType, Layout, Scale, TensorSpec
from bpu_sim.engines import OrtEngine, ReferenceEngine
from tests.support.nets_engines import codes_spec, cpu_network, float_spec

few = settings(max_examples=30, deadline=None)


@st.composite
def scales(draw: st.DrawFn, shape: tuple[int, ...], dtype: DType = DType.INT8) -> Scale:
    """A scale per tensor or along one axis, with or without zero points."""
    axis = draw(st.sampled_from([-1, 1, 2, 3]))
    limits = np.iinfo(dtype.numpy)
    count = 1 if axis < 0 else shape[axis]
    values = draw(st.lists(st.floats(1e-4, 3), min_size=count, max_size=count))
    zeros = draw(
        st.one_of(
            st.just([]),
            st.lists(st.integers(int(limits.min), int(limits.max)), min_size=count, max_size=count),
        )
    )
    return Scale(tuple(values), tuple(zeros), axis if count > 1 else -1)


def both(network, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    (output,) = network.outputs
    return [
        engine.run(feeds)[output.tensor]
        for engine in (ReferenceEngine(network), OrtEngine(network))
    ]


@few
@given(data=st.data(), flat=st.booleans(), seed=st.integers(0, 2**32 - 1),
       dtype=st.sampled_from([DType.INT8, DType.UINT8]))  # fmt: skip
def test_quantize(data: st.DataObject, flat: bool, seed: int, dtype: DType) -> None:
    shape = (1, 3, 2, 5)  # NHWC
    scale = data.draw(scales(shape, dtype))
    limits = np.iinfo(dtype.numpy)
    real = np.random.default_rng(seed).normal(0, 100, (1, 5, 3, 2)).astype(np.float32)
    real *= np.float32(scale.values[0])
    given_shape = (1, 30) if flat else real.shape
    network = cpu_network(
        [Quantize("q", "x", "y")],
        [float_spec("x", given_shape), codes_spec("y", shape, scale, dtype)],
    )
    wanted = np.zeros(shape, dtype.numpy)
    for index in np.ndindex(shape):
        at = index[scale.axis] if scale.axis >= 0 else 0
        zero = scale.zero_points[at] if scale.zero_points else 0
        quotient = real[0, index[3], index[1], index[2]] / np.float32(scale.values[at])
        wanted[index] = min(max(round(float(quotient)) + zero, limits.min), limits.max)
    for got in both(network, {"x": real.reshape(given_shape)}):
        assert got.dtype == dtype.numpy
        np.testing.assert_array_equal(got, wanted)


@few
@given(data=st.data(), flat=st.booleans(), seed=st.integers(0, 2**32 - 1),
       dtype=st.sampled_from([DType.INT8, DType.UINT8, DType.INT32]))  # fmt: skip
def test_dequantize(data: st.DataObject, flat: bool, seed: int, dtype: DType) -> None:
    shape = (1, 3, 2, 5)
    scale = data.draw(scales(shape, dtype if dtype is DType.UINT8 else DType.INT8))
    limits = np.iinfo(dtype.numpy)
    codes = np.random.default_rng(seed).integers(limits.min, limits.max, shape, endpoint=True)
    given_shape = (1, 30) if flat else (1, 5, 3, 2)
    network = cpu_network(
        [Dequantize("d", "x", "y")],
        [codes_spec("x", shape, scale, dtype), float_spec("y", given_shape)],
    )
    wanted = np.zeros((1, 5, 3, 2), np.float32)
    for index in np.ndindex(shape):
        at = index[scale.axis] if scale.axis >= 0 else 0
        zero = scale.zero_points[at] if scale.zero_points else 0
        step = np.float32(int(codes[index]) - zero)
        wanted[0, index[3], index[1], index[2]] = step * np.float32(scale.values[at])
    for got in both(network, {"x": codes.astype(dtype.numpy)}):
        np.testing.assert_array_equal(got, wanted.reshape(given_shape))


def test_codes_without_a_layout() -> None:
    scale = Scale((0.5, 0.25, 2.0), (1, 0, -3), 1)
    spec = TensorSpec("y", (2, 3), DType.INT8, Layout.NONE, scale=scale)
    real = np.array([[0.5, 0.25, 2.0], [-1.0, 100.0, 3.0]], np.float32)
    made = cpu_network([Quantize("q", "x", "y")], [float_spec("x", (2, 3)), spec])
    for got in both(made, {"x": real}):
        np.testing.assert_array_equal(got, [[2, 1, -2], [-1, 127, -1]])


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.FLOAT32, DType.INT32])
def test_transpose_and_reshape(dtype: DType) -> None:
    x = np.arange(24).astype(dtype.numpy).reshape(2, 3, 4)
    network = cpu_network(
        [Transpose("t", "x", "y", (2, 0, 1)), Reshape("r", "y", "z")],
        [float_spec("x", (2, 3, 4), dtype), float_spec("y", (4, 2, 3), dtype),
         float_spec("z", (8, 3), dtype)],
    )  # fmt: skip
    wanted = [[x[j // 3][j % 3][i] for j in range(6)] for i in range(4)]
    for got in both(network, {"x": x}):
        np.testing.assert_array_equal(got, np.array(wanted).reshape(8, 3))


@pytest.mark.parametrize(
    ("source", "to"),
    [(DType.FLOAT32, DType.INT32), (DType.FLOAT32, DType.FLOAT16), (DType.INT8, DType.FLOAT32),
     (DType.FLOAT32, DType.BOOL), (DType.INT32, DType.INT64)],
)  # fmt: skip
def test_cast(source: DType, to: DType) -> None:
    x = np.array([-3.7, -1, -0.5, 0, 0.5, 1.5, 99.9]).astype(source.numpy)
    network = cpu_network(
        [Cast("c", "x", "y", to)], [float_spec("x", (7,), source), float_spec("y", (7,), to)]
    )
    for got in both(network, {"x": x}):
        assert got.dtype == to.numpy
        np.testing.assert_array_equal(got, x.astype(to.numpy))


def test_softmax() -> None:
    x = np.random.default_rng(0).normal(0, 3, (2, 5, 3)).astype(np.float32)
    network = cpu_network(
        [Softmax("s", "x", "y", 1)], [float_spec("x", x.shape), float_spec("y", x.shape)]
    )
    wide = np.exp(x.astype(np.float64))
    one, other = both(network, {"x": x})
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one, wide / wide.sum(axis=1, keepdims=True), rtol=1e-5)
