"""A model that is cut at Python nodes gives what the whole model gives in one session."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.floatrun.cut import PythonStage, cut
from tests.support.nets_front import Net, run

Array = np.ndarray
OURS = "tests"


def leaky(inputs: Sequence[Array | None], attributes: Mapping[str, object]) -> list[Array]:
    (x,) = inputs
    assert x is not None
    return [np.where(x < 0, x * np.float32(attributes["alpha"]), x)]


def add(inputs: Sequence[Array | None], attributes: Mapping[str, object]) -> list[Array]:
    a, b = inputs
    assert a is not None
    assert b is not None
    return [a + b]


def split(inputs: Sequence[Array | None], attributes: Mapping[str, object]) -> list[Array]:
    (x,) = inputs
    assert x is not None
    return np.split(x, 2, axis=int(str(attributes["axis"])))


OPS = {(OURS, "LeakyRelu"): leaky, (OURS, "Add"): add, (OURS, "Split"): split}


def python_nodes(model: onnx.ModelProto, chosen: Callable[[int], bool]) -> onnx.ModelProto:
    """The model with those of its nodes that OPS knows in our domain, where `chosen` says so."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for index, node in enumerate(changed.graph.node):
        if (OURS, node.op_type) in OPS and chosen(index):
            node.domain = OURS
    changed.opset_import.append(helper.make_opsetid(OURS, 1))
    return changed


def inner_tensors(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output]


def test_a_python_node_in_the_middle() -> None:
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 4), name="first")
    x = net.add("LeakyRelu", x, name="middle", alpha=0.25)
    model = net.model(net.conv(x, (4, 2), name="last"))
    feeds = {"data": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    parted = python_nodes(model, lambda _: True)
    keep = ["middle_out", "first_out", "data"]
    found = FloatRunner(parted, keep, python_ops=OPS).run(feeds)
    assert list(found) == ["last_out", *keep]
    np.testing.assert_allclose(found["last_out"], run(model, feeds)[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["data"], feeds["data"])
    first = found["first_out"]
    np.testing.assert_array_equal(
        found["middle_out"], np.where(first < 0, first * np.float32(0.25), first)
    )
    kinds = [isinstance(stage, PythonStage) for stage in cut(parted, keep, OPS)]
    assert kinds == [False, True, False]


def random_net(seed: int, size: int) -> tuple[onnx.ModelProto, list[str]]:
    """A graph of joined and branching nodes, and all tensors that its nodes make."""
    random = np.random.default_rng(seed)
    net = Net([1, 4, 2, 2])
    known = ["data", net.constant(random.normal(size=(1, 4, 2, 2)).astype(np.float32))]
    for index in range(size):
        a, b = random.choice(known), random.choice(known)
        kind = random.integers(4)
        if kind == 0:
            known.append(net.add("LeakyRelu", a, alpha=0.5, name=f"n{index}"))
        elif kind == 1:
            known.append(net.add("Add", a, b, name=f"n{index}"))
        elif kind == 2:
            known.append(net.add("Neg", a, name=f"n{index}"))
        else:
            halves = [f"n{index}_left", f"n{index}_right"]
            net.nodes.append(helper.make_node("Split", [a], halves, name=f"n{index}", axis=1))
            known.append(net.add("Concat", *halves, axis=1, name=f"n{index}_joined"))
    model = net.model(known[-1] if known[-1] != known[1] else "data")
    return model, inner_tensors(model)


def in_one_session(
    model: onnx.ModelProto, names: Sequence[str], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """The outputs and these tensors."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    ends = {value.name for value in model.graph.output}
    whole.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in ends
    )
    return dict(zip([v.name for v in whole.graph.output], run(whole, feeds), strict=True))


@given(seed=st.integers(0, 10_000), size=st.integers(1, 9), data=st.data())
@settings(deadline=None)
def test_wherever_it_is_cut(seed: int, size: int, data: st.DataObject) -> None:
    """Random graphs of joined and branching nodes; the oracle is one session over standard ones."""
    model, names = random_net(seed, size)
    chosen = data.draw(st.sets(st.integers(0, len(model.graph.node))))
    feeds = {"data": np.random.default_rng(seed).normal(size=(1, 4, 2, 2)).astype(np.float32)}
    expected = in_one_session(model, names, feeds)
    parted = python_nodes(model, lambda index: index in chosen)
    found = FloatRunner(parted, names, python_ops=OPS).run(feeds)
    assert set(found) == set(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 12),
    limit=st.integers(1, 400),
    data=st.data(),
)
@settings(deadline=None)
def test_sessions_give_no_more_than_the_limit(
    seed: int, size: int, limit: int, data: st.DataObject
) -> None:
    model, names = random_net(seed, size)
    model = onnx.shape_inference.infer_shapes(model)
    keep = data.draw(st.lists(st.sampled_from(names), unique=True))
    feeds = {"data": np.random.default_rng(seed).normal(size=(1, 4, 2, 2)).astype(np.float32)}
    expected = in_one_session(model, keep, feeds)
    steps = list(FloatRunner(model, keep, limit_bytes=limit).steps(feeds))
    assert sorted(name for step in steps for name in step) == sorted(expected)
    for step in steps:
        assert sum(array.nbytes for array in step.values()) <= max(limit, 64)  # one node
        for name, array in step.items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_what_nobody_reads_any_more_is_let_go() -> None:
    """Of a chain, only the tensor before a stage is held; a short-cut until its end."""
    net = Net([1, 2])
    x = net.add("Neg", "data", name="first")
    y = x
    for index in range(6):
        y = net.add("Exp", y, name=f"n{index}")
    model = onnx.shape_inference.infer_shapes(net.model(net.add("Add", x, y, name="last")))
    names = inner_tensors(model)
    held: list[weakref.ref[Array]] = []
    alive = []
    for step in FloatRunner(model, names, limit_bytes=1).steps({"data": np.ones((1, 2), "f4")}):
        held += [weakref.ref(array) for array in step.values()]
        del step
        alive.append(sum(each() is not None for each in held))
    assert len(alive) == 9
    assert max(alive) <= 3


def test_sessions_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net([1, 2])
    x = net.add("LeakyRelu", net.add("Neg", "data"), alpha=0.5)
    parted = python_nodes(net.model(net.add("Neg", x)), lambda _: True)
    opened: list[object] = []
    real = onnxruntime.InferenceSession

    def session(*arguments: object, **options: object) -> object:
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    runner = FloatRunner(parted, python_ops=OPS)
    for value in range(3):
        found = runner.run({"data": np.full((1, 2), value, np.float32)})
        assert float(next(iter(found.values()))[0, 0]) == 0.5 * value
    assert len(opened) == 2


def test_of_a_runner_that_runs_once_no_session_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net([1, 2])
    model = onnx.shape_inference.infer_shapes(net.model(net.add("Neg", net.add("Exp", "data"))))
    opened: list[weakref.ref[object]] = []
    real = onnxruntime.InferenceSession

    def session(*arguments: object, **options: object) -> object:
        made = real(*arguments, **options)
        opened.append(weakref.ref(made))
        return made

    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    runner = FloatRunner(model, inner_tensors(model), limit_bytes=1, once=True)
    alive = [
        (len(step), sum(each() is not None for each in opened))
        for step in runner.steps({"data": np.zeros((1, 2), np.float32)})
    ]
    assert len(opened) == 2
    assert alive == [(0, 0), (1, 0), (1, 0)]


def test_a_constant_as_an_output() -> None:
    net = Net([1, 2])
    net.constant([1.0, 2.0], "fixed")
    model = net.model(net.add("Neg", "data"), "fixed")
    found = FloatRunner(model).run({"data": np.ones((1, 2), np.float32)})
    assert [array.tolist() for array in found.values()] == [[[-1.0, -1.0]], [1.0, 2.0]]


def test_failures_name_the_node() -> None:
    def fails(inputs: Sequence[Array | None], attributes: Mapping[str, object]) -> list[Array]:
        raise ZeroDivisionError("no such slope")

    net = Net([1, 2])
    parted = python_nodes(
        net.model(net.add("LeakyRelu", "data", name="mine", alpha=0.5)), lambda _: True
    )
    feeds = {"data": np.ones((1, 2), np.float32)}
    with pytest.raises(FloatRunFailed, match="no such slope") as caught:
        FloatRunner(parted, python_ops={(OURS, "LeakyRelu"): fails}).run(feeds)
    assert caught.value.where == "node mine"
    with pytest.raises(FloatRunFailed, match="gives 0 outputs, the node has 1"):
        FloatRunner(parted, python_ops={(OURS, "LeakyRelu"): lambda *_: []}).run(feeds)
    with pytest.raises(FloatRunFailed, match="other dimensions than the model") as caught:
        FloatRunner(net.model("mine_out")).run({"data": np.ones((3, 2), np.float32)})
    assert caught.value.where == "input 'data'"


def test_a_python_node_in_a_body_is_refused() -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("LeakyRelu", ["data"], [name], domain=OURS, alpha=0.5)
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([node], name, [], [value])

    net = Net([1, 2])
    flag = net.constant(np.array(True), "flag")
    net.add("If", flag, name="either", then_branch=branch("a"), else_branch=branch("b"))
    with pytest.raises(ModelUnsupported, match="inside the body of a If"):
        FloatRunner(net.model("either_out"), python_ops=OPS)


def test_bodies_read_what_other_stages_give() -> None:
    def branch(name: str, x: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node("Neg", [x], [name])], name, [], [value])

    net = Net([1, 2])
    x = net.add("LeakyRelu", "data", name="mine", alpha=0.5)
    flag = net.constant(np.array(True), "flag")
    net.add("If", flag, name="either", then_branch=branch("a", x), else_branch=branch("b", "data"))
    model = net.model("either_out")
    feeds = {"data": np.array([[-4.0, 2.0]], np.float32)}
    found = FloatRunner(python_nodes(model, lambda _: True), python_ops=OPS).run(feeds)
    np.testing.assert_array_equal(found["either_out"], run(model, feeds)[0])
