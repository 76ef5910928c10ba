"""Every element type at every place of a graph: the `.bin` gives what onnxruntime gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tests.support.convert_net import convert
from tests.support.graphs_typed import ELEMENT_TYPES, SHAPE, Graph, cast, node

FLOAT = TensorProto.FLOAT
Position = Callable[[Graph, str, int], onnx.ModelProto]


def output(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    del dtype
    return g.model([g.first, node("Abs", "a", "b"), cast("b", "z", kind)], {"z": kind})


def between(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    """From the BPU to the BPU through a cast there and back."""
    del dtype
    nodes = [g.first, node("Abs", "a", "b"), cast("b", "c", kind), cast("c", "r"), g.last]
    return g.model(nodes, {"y": FLOAT})


def island(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    """Moved about in the type, with a constant of it."""
    g.constant("k", g.small(dtype, 1, 4, 10, 1))
    nodes = [
        g.first,
        node("Abs", "a", "b"),
        cast("b", "c", kind),
        node("Concat", "c k", "d", axis=3),
        cast("d", "r"),
        g.last,
    ]
    return g.model(nodes, {"y": FLOAT, "d": kind})


def added_input(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    del kind
    g.feed("z", g.small(dtype, *SHAPE))
    return g.model([g.first, cast("z", "f"), node("Add", "a f", "r"), g.last], {"y": FLOAT})


def only_input(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    """Nothing depends on x, which is left out."""
    del kind
    g.feed("z", g.small(dtype, *SHAPE))
    return g.model([cast("z", "r"), g.last], {"y": FLOAT})


def scalar_input(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    del kind
    g.feed("z", np.asarray(1, dtype))
    return g.model([g.first, cast("z", "f"), node("Mul", "a f", "r"), g.last], {"y": FLOAT})


def joined_input(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    g.feed("z", g.small(dtype, 3, 5))
    g.constant("k", g.small(dtype, 2, 5))
    return g.model([g.first, node("Concat", "z k", "u", axis=0)], {"a": FLOAT, "u": kind})


def handed_through(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    """An output that is an input."""
    g.feed("z", g.small(dtype, 2, 3))
    return g.model([g.first], {"a": FLOAT, "z": kind})


def stored(g: Graph, dtype: str, kind: int) -> onnx.ModelProto:
    """An output that is a constant."""
    g.constant("k", g.small(dtype, 2, 3))
    return g.model([g.first], {"a": FLOAT, "k": kind})


POSITIONS: tuple[Position, ...] = (
    output, between, island, added_input, only_input, scalar_input, joined_input, handed_through,
    stored,
)  # fmt: skip
_OF_OUTPUT = {"z", "u", "k", "d"}


@pytest.mark.parametrize("dtype", ELEMENT_TYPES)
@pytest.mark.parametrize("position", POSITIONS, ids=lambda each: each.__name__)
def test_position(position: Position, dtype: str, tmp_path: Path) -> None:
    g = Graph()
    model = position(g, dtype, ELEMENT_TYPES[dtype])
    sample = {k: v for k, v in g.sample.items() if position is not only_input or k != "x"}
    if position is only_input:
        del model.graph.input[0]
    done = convert(tmp_path, model, samples=[sample], measure=True)
    made = done.run()
    for value, real, array in zip(model.graph.output, done.reals, made, strict=True):
        assert (array.dtype, array.shape) == (real.dtype, real.shape)
        if position in (joined_input, handed_through, stored) and value.name in _OF_OUTPUT:
            np.testing.assert_array_equal(array, real)  # nothing is quantized on this way
    assert done.sqnr_db() > 20


@pytest.mark.parametrize("position", [output, between], ids=lambda each: each.__name__)
def test_bfloat16_is_computed_in_float32(position: Position, tmp_path: Path) -> None:
    """The oracle is the same file with float32, since onnxruntime gives no bfloat16 arrays."""
    g = Graph()
    wide = position(g, "float32", FLOAT)
    model = position(Graph(), "float32", TensorProto.BFLOAT16)
    done = convert(tmp_path, model, samples=[g.sample], reference=wide)
    assert done.run()[0].dtype == np.float32
    assert done.sqnr_db() > 20


CASTS = st.lists(st.sampled_from(sorted(ELEMENT_TYPES)), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None)
@given(chain=CASTS, seed=st.integers(0, 1000))
def test_integers_through_chains_of_casts_are_exact(
    chain: list[str], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    g = Graph(seed)
    g.feed("z", g.random.integers(0, 100, (3, 7)))
    names = ["z", *(f"z{index}" for index in range(len(chain)))]
    nodes = [
        cast(x, y, ELEMENT_TYPES[dtype])
        for x, y, dtype in zip(names, names[1:], chain, strict=False)
    ]
    model = g.model([g.first, *nodes], {"a": FLOAT, names[-1]: ELEMENT_TYPES[chain[-1]]})
    done = convert(tmp_path_factory.mktemp("chain"), model, samples=[g.sample])
    np.testing.assert_array_equal(done.run()[1], done.reals[1])
