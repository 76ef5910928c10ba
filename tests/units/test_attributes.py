"""No attribute is ever ignored: what is placed on the BPU computes what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir
import pytest
from hypothesis import event, given, settings
from hypothesis import example as case
from hypothesis import strategies as st

from bpu_common.network import QConv, QResize
from bpu_host.compiler import passes, quantize, rules, units
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.frontend.opset import TARGET_OPSET
from bpu_host.compiler.quantize.lower import Lowering
from bpu_host.compiler.units import OPERATORS
from bpu_host.compiler.units.reading import OffBpu
from tests.support.nets_front import Net, run
from tests.support.nets_quant import feature_input, max_thresholds, sqnr_db
from tests.support.network_reference import run_network
from tests.support.operators_units import CHANNELS, COMPANIONS, HEIGHT, VALUES, WIDTH, example

CASES = [
    (op, {name: value, **COMPANIONS.get(name, {})})
    for op in OPERATORS
    for name, values in VALUES.get(op, {}).items()
    for value in values
] + [(op, {}) for op in OPERATORS]


def between(op: str, attributes: Mapping[str, Any], shape: tuple[int, ...]) -> onnx.ModelProto:
    """The operator between two convolutions; the first makes positive and negative numbers."""
    net = Net(list(shape))
    x = net.conv("data", (shape[1], CHANNELS), 1, name="first")
    y = example(op)(net, x, attributes)
    probe = prepare(onnx.ModelProto.FromString(net.model(y, opset=19).SerializeToString()), "", {})
    channels = int(probe.graph.outputs[0].shape[1])  # type: ignore[index, arg-type]
    return net.model(net.conv(y, (channels, 4), 1, name="last"), opset=19)


def lowered_of(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> Lowering:
    """Through frontend, passes, rules and quantization, with the range of one sample."""
    prepared = prepare(onnx.ModelProto.FromString(model.SerializeToString()), "net.onnx", {})
    passes.optimize(prepared)
    plan = units.recognise(prepared, (feature_input(*feeds["data"].shape),))
    return quantize.lower(rules.place(plan), max_thresholds(prepared, [dict(feeds)]), "net")


def normals(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"data": np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)}


@pytest.mark.parametrize(("op", "attributes"), CASES, ids=str)
def test_every_value_is_computed_or_refused(op: str, attributes: dict[str, Any]) -> None:
    feeds = normals((1, 3, HEIGHT, WIDTH))
    model = between(op, attributes, feeds["data"].shape)
    real = run(model, feeds)[0]
    network = lowered_of(model, feeds).network
    found = run_network(network, feeds)[network.outputs[0].tensor]
    assert found.shape == real.shape
    assert sqnr_db(real, found) > 25


@pytest.mark.parametrize("op", OPERATORS)
def test_all_attributes_of_onnx_have_values_here(op: str) -> None:
    schema = onnx.defs.get_schema(op, TARGET_OPSET, "")
    assert set(schema.attributes) == set(VALUES.get(op, {}))
    assert set(OPERATORS[op].attributes) <= set(schema.attributes)
    assert OPERATORS[op].inputs <= max(schema.max_input, 1)


@pytest.mark.parametrize("op", OPERATORS)
def test_what_is_not_known_is_refused(op: str) -> None:
    shape = (1, 3, HEIGHT, WIDTH)
    prepared = prepare(between(op, {}, shape), "net.onnx", {})
    passes.optimize(prepared)
    node = next(node for node in prepared.graph if node.name == "n")
    assert OPERATORS[node.op_type].units(node)
    node.attributes.add(ir.AttrInt64("surprise", 0))
    with pytest.raises(OffBpu, match="attribute surprise is not known") as caught:
        OPERATORS[node.op_type].units(node)
    assert caught.value.rule == "ATTRIBUTE"
    del node.attributes["surprise"]
    if OPERATORS[node.op_type].inputs < 9:
        node.resize_inputs(OPERATORS[node.op_type].inputs + 1)
        with pytest.raises(OffBpu, match="inputs; "):
            OPERATORS[node.op_type].units(node)


SIZES = st.one_of(
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.sampled_from([(7, 20), (14, 20), (14, 40), (28, 80), (3, 4), (5, 9), (4, 30)]),
)


@st.composite
def resizes(draw: st.DrawFn) -> dict[str, Any]:
    """Mode, coordinates and rounding, sometimes with one of the rarer attributes."""
    values = VALUES["Resize"]
    drawn = {"mode": draw(st.sampled_from(["nearest", "linear"]))}
    for name in ("coordinate_transformation_mode", "nearest_mode"):
        drawn[name] = draw(st.sampled_from(values[name]))
    rare = draw(st.sampled_from([*sorted(set(values) - {*drawn, "axes"}), *[""] * 12]))
    return {**drawn, **({rare: draw(st.sampled_from(values[rare]))} if rare else {})}


def has_tie(mode: str, size: int, made: int) -> bool:
    """Whether a position lies on (or a breath beside) the border between two inputs."""
    index = np.arange(made)
    factor = size / made
    position = {
        "asymmetric": index * factor,
        "align_corners": index * (size - 1) / max(made - 1, 1),
    }.get(mode, (index + 0.5) * factor - 0.5)
    steps = np.abs(position * 2 - np.rint(position * 2))
    whole_factor = (made / size).is_integer() and (made // size) & (made // size - 1) == 0
    return bool((steps < 1e-4).any()) and not whole_factor


@settings(deadline=None, max_examples=120)
@given(resizes(), SIZES, st.booleans())
@case({"mode": "nearest", "keep_aspect_ratio_policy": "not_larger"}, (7, 20), False)  # a copy
@case({"mode": "linear"}, (7, 10), True)
def test_resize_in_every_form(
    attributes: dict[str, Any], sizes: tuple[int, int], by_scales: bool
) -> None:
    shape = (1, 3, 7, 10)
    net = Net(list(shape))
    x = net.conv("data", (3, CHANNELS), 1, name="first")
    if by_scales:
        attributes.pop("keep_aspect_ratio_policy", None)  # of sizes alone
        scales = net.constant(np.array([1, 1, sizes[0] / 7 + 0.01, sizes[1] / 10 + 0.01]))
        y = net.add("Resize", x, "", scales, name="n", **attributes)
    else:
        target = net.constant(np.array([1, CHANNELS, *sizes]))
        y = net.add("Resize", x, "", "", target, name="n", **attributes)
    model = net.model(net.conv(y, (CHANNELS, 4), 1, name="last"), y, opset=19)
    try:
        real = run(model, normals(shape))[1]
    except Exception:  # noqa: BLE001 - a form that onnxruntime does not have
        return
    if attributes["mode"] == "nearest" and any(
        has_tie(attributes.get("coordinate_transformation_mode", "half_pixel"), *pair)
        for pair in zip(shape[2:], real.shape[2:], strict=True)
    ):
        return  # the last bit of onnxruntime's float32 decides there
    lowering = lowered_of(model, normals(shape))
    network, verdict = lowering.network, lowering.placement.verdicts.get("n")
    if verdict is None:  # it was taken for a copy: then what it reads is its result
        assert real.shape[2:] == shape[2:]
    event("a copy" if verdict is None else verdict.reason.split(";")[0] or attributes["mode"])
    if verdict is None or verdict.on_bpu:
        kind = QConv if verdict is None else QResize
        op = next(op for op in network.ops if isinstance(op, kind))
        scale = network.tensors[op.y].scale.value
        codes = run_network(network, normals(shape))[op.y].transpose(2, 0, 1)[None]
        assert np.abs(codes * scale - real).max() < 2.5 * scale
