"""Where nodes run, why, and that the page of supported operators is what the rules say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelUnsupported
from bpu_host.compiler import passes, rules, units
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.rules.document import PAGE, supported_ops
from bpu_host.compiler.rules.limits import RULES
from bpu_host.compiler.rules.refused import refused, written_out
from bpu_host.compiler.rules.table import onnx_rows, rows
from bpu_host.compiler.units import OPERATORS
from tests.support.nets_front import Net, classifier

ROOT = Path(__file__).parents[2]
MOST_REFUSED = 42
"""Operators that end a conversion; this figure may only fall."""


def optimized(model: onnx.ModelProto) -> ir.Model:
    prepared = prepare(model, "net.onnx", {})
    passes.optimize(prepared)
    return prepared


def verdicts(model: onnx.ModelProto, **options: tuple[str, ...]) -> dict[str, rules.Verdict]:
    plan = units.recognise(optimized(model), ())
    return rules.place(plan, rules.PlacementOptions(**options)).verdicts


def between_convs(net: Net, x: str) -> dict[str, rules.Verdict]:
    """The verdicts when `x` is read by another convolution."""
    shape_holder = net.model(x)
    prepared = prepare(shape_holder, "net.onnx", {})
    channels = int((prepared.graph.outputs[0].shape or [0, 1])[1])  # type: ignore[arg-type]
    return verdicts(net.model(net.conv(x, (channels, 4), 1, name="last")))


def test_page_is_fresh() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == supported_ops(), (
        "run python -m bpu_host.compiler.rules.document"
    )


def test_table_has_all_rows() -> None:
    assert len(rows()) == 208
    assert sum(row.framework == "onnx" for row in rows()) == len(onnx_rows()) == 160
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule.ops) <= set(units.OPERATORS)
        assert rule.sentence.endswith(".")


def test_classifier_runs_on_the_bpu_but_for_its_tail() -> None:
    found = verdicts(classifier())
    assert [name for name, verdict in found.items() if not verdict.on_bpu] == ["fc_reshape_output"]


def test_the_chapter_s_example_of_a_9x9_kernel() -> None:
    net = Net([1, 3, 16, 16])
    x = net.conv("data", (3, 128), 1, name="Convolution1")
    x = net.conv(x, (128, 128), 9, name="Convolution2")
    found = verdicts(net.model(net.conv(x, (128, 128), name="Convolution3")))
    assert [found[f"Convolution{i}"].on for i in (1, 2, 3)] == ["BPU", "CPU", "BPU"]
    assert found["Convolution2"].reason == (
        "Expected data shape range of Kernel shape is [[1, 4096],[1, 7],[1, 7],[1, 4096]], "
        "but the data shape is [128,9,9,128]"
    )


@pytest.mark.parametrize(
    ("attributes", "rule"),
    [
        ({}, ""),
        ({"dilations": [2, 2], "pads": [2] * 4}, ""),
        ({"dilations": [3, 3], "pads": [3] * 4}, "CONV-DILATION"),
        ({"dilations": [4, 2], "pads": [4, 2, 4, 2]}, "CONV-DILATION"),
        ({"dilations": [2, 2], "strides": [4, 4], "pads": [2] * 4}, "CONV-DILATION"),
        ({"strides": [3, 3]}, ""),
    ],
)
def test_convolution(attributes: dict[str, Any], rule: str) -> None:
    net = Net([1, 8, 16, 16])
    found = verdicts(net.model(net.conv("data", (8, 8), name="c", **attributes)))
    assert found["c"].rule == rule


def test_convolution_channels() -> None:
    for channels, group, rule in ((4096, 1, ""), (4100, 1, "CONV-KERNEL"), (4096, 4096, "")):
        net = Net([1, channels, 2, 2])
        found = verdicts(
            net.model(
                net.conv(
                    "data", (channels, 8 if group == 1 else channels), 1, name="c", group=group
                )
            )
        )
        assert found["c"].rule == rule
    net = Net([1, 4000, 8, 8])
    assert verdicts(net.model(net.conv("data", (4000, 2), 3, name="c")))["c"].rule == "CONV-AREA"
    net = Net([1, 16000])
    fc = net.add("Gemm", "data", net.weights(4, 16000), name="fc", transB=1)
    assert verdicts(net.model(fc))["fc"].on_bpu


@pytest.mark.parametrize(
    ("kernel", "attributes", "on"),
    [
        (4, {"strides": [2, 2], "pads": [1] * 4}, "BPU"),
        (4, {"strides": [1, 1], "pads": [1] * 4}, "CPU"),
        (4, {"strides": [4, 2], "pads": [1] * 4}, "CPU"),
        (4, {"strides": [2, 2], "pads": [2] * 4}, "CPU"),
        (15, {"strides": [2, 2], "pads": [1] * 4}, "CPU"),
    ],
)
def test_transposed_convolution(kernel: int, attributes: dict[str, Any], on: str) -> None:
    net = Net([1, 4, 8, 8])
    y = net.add("ConvTranspose", "data", net.weights(4, 4, kernel, kernel), name="t", **attributes)
    assert verdicts(net.model(y))["t"].on == on


@pytest.mark.parametrize(
    ("shape", "on"), [((1, 8, 32, 32), "BPU"), ((1, 9, 32, 32), "CPU"), ((1, 8, 32, 33), "CPU"),
                      ((1, 33, 16, 8), "BPU"), ((1, 8, 65, 16), "CPU"),
                      ((1, 33, 128, 1), "BPU"), ((1, 33, 129, 1), "CPU")]
)  # fmt: skip
@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Exp", "Softplus"])
def test_look_up_limit(op: str, shape: tuple[int, ...], on: str) -> None:
    net = Net(list(shape))
    x = net.conv("data", (shape[1], shape[1]), 1, name="c")
    assert between_convs(net, net.add(op, x, name="f"))["f"].on == on


def test_silu_stays_together() -> None:
    for size, on in ((8, "BPU"), (64, "CPU")):
        net = Net([1, 8, size, size])
        x = net.conv("data", (8, 8), name="c")
        y = net.add("Mul", x, net.add("Sigmoid", x, name="gate"), name="silu")
        found = between_convs(net, y)
        assert (found["gate"].on, found["silu"].on) == (on, on)


def test_passive_operators_need_bpu_neighbours_on_both_sides() -> None:
    net = Net([1, 4, 8, 8])
    x = net.add("MaxPool", "data", name="first", kernel_shape=[2, 2])
    x = net.conv(x, (4, 4), name="c")
    x = net.add("MaxPool", x, name="inner", kernel_shape=[2, 2])
    x = net.conv(x, (4, 4), name="d")
    model = net.model(net.add("MaxPool", x, name="last", kernel_shape=[2, 2]))
    found = verdicts(model)
    assert {name: found[name].rule for name in ("first", "inner", "last")} == {
        "first": "FED-BY-BPU",
        "inner": "",
        "last": "PASSIVE-TAIL",
    }
    assert verdicts(model, run_on_bpu=("last", "first"))["last"].on_bpu


def test_relu_after_the_last_convolution_stays_on_the_cpu_unless_forced() -> None:
    net = Net([1, 4, 8, 8])
    model = net.model(net.add("Relu", net.conv("data", (4, 4), name="c"), name="r"))
    assert verdicts(model)["r"].rule == "CONV-TAIL"
    assert verdicts(model, run_on_bpu=("r",))["r"].on_bpu


def test_run_on_cpu_splits() -> None:
    found = verdicts(classifier(), run_on_cpu=("branch", "fc"))
    assert found["branch"].rule == found["fc"].rule == "USER"
    assert found["join"].on_bpu  # one operand still comes from the BPU
    assert found["mean"].rule == "PASSIVE-TAIL"


def test_wishes_that_cannot_be_met() -> None:
    with pytest.raises(ModelUnsupported, match="run_on_cpu names 'branhc'") as caught:
        verdicts(classifier(), run_on_cpu=("branhc",))
    assert "branch" in caught.value.hint
    net = Net([1, 3, 16, 16])
    with pytest.raises(ModelUnsupported, match="cannot run there: Expected data shape range"):
        verdicts(net.model(net.conv("data", (3, 4), 9, name="c")), run_on_bpu=("c",))


def test_the_first_impossible_wish_is_named() -> None:
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 8), name="conv")
    names = [f"reshape{index}" for index in range(8)]
    for name in names:
        x = net.add("Reshape", x, net.constant(np.array([1, 8, 8, 8], np.int64)), name=name)
    model = prepare(net.model(x), "net.onnx", {})
    with pytest.raises(ModelUnsupported, match="names 'reshape5'"):
        rules.place(
            units.recognise(model, ()),
            rules.PlacementOptions(run_on_bpu=(*names[5:], *names[:5])),
        )


@pytest.mark.parametrize(
    ("attributes", "sizes", "on"),
    [
        ({"mode": "nearest"}, (16, 16), "BPU"),
        ({"mode": "nearest"}, (24, 24), "CPU"),
        ({"mode": "nearest"}, (32, 16), "CPU"),
        ({"mode": "nearest"}, (4, 4), "BPU"),
        ({"mode": "linear"}, (20, 12), "BPU"),
        ({"mode": "cubic"}, (16, 16), "CPU"),
        ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, (16, 16), "BPU"),
    ],
)
def test_resize(attributes: dict[str, Any], sizes: tuple[int, int], on: str) -> None:
    net = Net([1, 4, 8, 8])
    target = net.constant(np.array([1, 4, *sizes], np.int64))
    x = net.conv("data", (4, 4), name="c")
    found = between_convs(net, net.add("Resize", x, "", "", target, name="r", **attributes))
    assert found["r"].on == on


@pytest.mark.parametrize(
    ("other", "on"),
    [((1, 4, 8, 8), "BPU"), ((1, 4, 1, 1), "BPU"), ((1, 1, 1, 1), "BPU"), ((1, 1, 8, 8), "CPU")],
)
def test_products(other: tuple[int, ...], on: str) -> None:
    net = Net([1, 4, 8, 8])
    net.inputs["other"] = list(other)
    x = net.conv("data", (4, 4), name="c")
    y = net.conv("other", (other[1], other[1]), 1, name="d")
    assert between_convs(net, net.add("Mul", x, y, name="m"))["m"].on == on


def test_operators_that_nobody_runs_are_refused() -> None:
    net = Net([1, 4, 8, 8])
    random = net.add("RandomUniformLike", "data", name="random")
    with pytest.raises(ModelUnsupported) as caught:
        verdicts(net.model(random, net.add("Bernoulli", "data", name="coin"), opset=15))
    sentence = str(caught.value)
    assert "HorizonRT not support these cpu operators: RandomUniformLike (node random)" in sentence
    assert "Unsupported op: Bernoulli (node coin)" in sentence
    assert "Bernoulli: it is random, while equal inputs give equal bits here; make the" in sentence


def test_operators_that_the_vendor_has_not_integrated_run_with_a_warning() -> None:
    net = Net([1, 4, 8, 8])
    x = net.add("Mod", net.add("Celu", "data", name="celu"), "data", name="mod", fmod=1)
    model = optimized(net.model(x))
    assert rules.place(units.recognise(model, ())).verdicts["mod"].on == "CPU"
    finding = rules.beyond_the_vendor(model)
    assert finding is not None
    assert str(finding).startswith("Mod (node mod): HorizonRT not support these cpu operators")


@pytest.mark.parametrize("op", ["Div", "Softmax", "ArgMax"])
def test_what_openbpu_leaves_to_the_cpu_says_so(op: str) -> None:
    net = Net([1, 4, 8, 8])
    x = net.conv("data", (4, 4), name="c")
    inputs = (x, net.conv("data", (4, 4), name="d")) if op == "Div" else (x,)
    y = net.add(op, *inputs, name="n")
    verdict = verdicts(net.model(net.add("Cast", y, to=1)))["n"]
    assert verdict.on == "CPU"
    assert op in verdict.reason


def test_one_list_says_what_a_cpu_part_may_hold() -> None:
    known = set(onnx_rows()) | set(OPERATORS)
    assert known >= CPU_OPERATORS, "the compiler can meet every operator of the list"
    assert not {"If", "Loop", "Scan"} & CPU_OPERATORS, "nothing that holds graphs"
    assert set(OPERATORS) <= CPU_OPERATORS, "what leaves the BPU must run somewhere"


def test_every_operator_of_onnx_is_converted_or_refused_for_a_reason() -> None:
    assert not set(refused()) & (CPU_OPERATORS | written_out())
    assert len(refused()) <= MOST_REFUSED
