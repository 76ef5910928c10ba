"""A conversion whose products compute something else than the file ends by name; others do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.verify import check_original
from tests.support.convert_net import convert
from tests.support.nets_front import Net, load


def resized(mode: str) -> onnx.ModelProto:
    """Two convolutions, a Resize `up` that shrinks and enlarges, and what reads it."""
    net = Net([1, 3, 12, 8])
    x = net.conv(net.conv("data", (3, 4), name="first"), (4, 4), name="second")
    scales = net.constant(np.array([1, 1, 1.5, 0.75]))
    x = net.add("Resize", x, scales, name="up", mode=mode)
    return net.model(net.conv(x, (4, 4), name="last"), opset=10)


def converted_blindly(file: onnx.ModelProto) -> onnx.ModelProto:
    """By ONNX's own version converter alone."""
    return onnx.version_converter.convert_version(file, 19)


def sample(file: onnx.ModelProto) -> dict[str, np.ndarray]:
    (value,) = file.graph.input
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {value.name: np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)}


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_the_first_wrong_node_is_named(mode: str) -> None:
    file = resized(mode)
    with pytest.raises(ModelUnsupported, match="something else than the file") as caught:
        check_original(file, converted_blindly(file), sample(file), {"data": "data"})
    assert caught.value.where == "node up (Resize)"


def shifted_weights(product: onnx.ModelProto) -> None:
    weights = product.graph.initializer[2]
    array = numpy_helper.to_array(weights).copy()
    array[0, 0] *= 1.01
    weights.CopyFrom(numpy_helper.from_array(array, weights.name))


def another_pad(product: onnx.ModelProto) -> None:
    node = next(node for node in product.graph.node if node.name == "second")
    node.attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER"))
    kept = [item for item in node.attribute if item.name != "pads"]
    del node.attribute[:]
    node.attribute.extend(kept)
    wide = next(item for item in product.graph.initializer if item.name == node.input[1])
    flipped = numpy_helper.to_array(wide)[..., ::-1]
    wide.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(flipped), wide.name))


@pytest.mark.parametrize("change", [shifted_weights, another_pad])
def test_small_faults_are_seen(change: Callable[[onnx.ModelProto], None]) -> None:
    file = resized("nearest")
    product = onnx.ModelProto()
    product.CopyFrom(file)
    check_original(file, product, sample(file), {"data": "data"})
    change(product)
    with pytest.raises(ModelUnsupported) as caught:
        check_original(file, product, sample(file), {"data": "data"})
    assert caught.value.where == "node second (Conv)"


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("Neg", "'y' is off by 2 of its spread"),
        ("Flatten", "'y' has the shape (1, 192) instead of (1, 3, 8, 8)"),
        ("Log", "'y' is not finite"),
    ],
)
def test_how_it_differs_is_said(op: str, words: str) -> None:
    nets = [Net([1, 3, 8, 8]), Net([1, 3, 8, 8])]
    file, product = (
        net.model(net.add(kind, "data", out="y"))
        for net, kind in zip(nets, ("Identity", op), strict=True)
    )
    with pytest.raises(ModelUnsupported) as caught:
        check_original(file, product, sample(file), {"data": "data"})
    assert words in str(caught.value)


def test_nothing_in_the_file_and_something_here_is_no_other_shape() -> None:
    nets = [Net([1, 3, 8, 8]), Net([1, 3, 8, 8])]
    file, product = (
        net.model(net.add("Mul", "data", net.constant(factor), out="y"))
        for net, factor in zip(nets, (0.0, 1e-6), strict=True)
    )
    with pytest.raises(ModelUnsupported, match=r"'y' is 0 in the file and up to 2\..*e-06 here"):
        check_original(file, product, sample(file), {"data": "data"})


def reassociated(step: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A steep step behind sums of large numbers that cancel, and the same in another order."""
    models = []
    for order in ((0, 1, 2), (2, 1, 0)):
        net = Net([1, 8, 32, 32])
        big = [net.constant(1e4 * share) for share in (1, -1.5, 0.5)]
        x = "data"
        for index in order:
            x = net.add("Add", x, big[index])
        steep = net.add("Mul", x, net.constant(64.0))
        models.append(net.model(net.add(step, steep, out="y")))
    return models[0], models[1]


@pytest.mark.parametrize("step", ["Floor", "Sign", "Round"])
def test_steps_that_rounding_crosses_are_no_faults(step: str) -> None:
    file, product = reassociated(step)
    check, findings = check_original(file, product, sample(file), {"data": "data"})
    assert check is not None
    assert not findings


def test_random_numbers_are_no_faults() -> None:
    net = Net([1, 3, 8, 8])
    noise = net.add("RandomNormalLike", net.conv("data", (3, 4)))
    file = net.model(noise)
    check, _ = check_original(file, file, sample(file), {"data": "data"})
    assert check is not None


def test_a_file_that_nothing_runs_is_a_sentence(tmp_path: Path) -> None:
    """onnxruntime has no GlobalLpPool of opset 22; at opset 19 the board runs it."""
    net = Net([1, 3, 8, 8])
    proto = net.model(net.add("GlobalLpPool", net.conv("data", (3, 4))), opset=22, ir_version=10)
    path = tmp_path / "file.onnx"
    path.write_bytes(proto.SerializeToString())
    product = ir.to_proto(load(path))
    check, (finding,) = check_original(proto, product, sample(proto), {"data": "data"})
    assert check is None
    assert "cannot be run as it is" in finding.sentence
    assert "GlobalLpPool" in finding.sentence


def test_every_conversion_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the repairs of the import taken away the conversion refuses what they mended."""
    monkeypatch.setattr(
        "bpu_host.compiler.frontend.opset.complete_resizes", lambda graph, version: None
    )
    with pytest.raises(ModelUnsupported, match="original float model") as caught:
        convert(tmp_path, resized("linear"))
    assert caught.value.where == "node up (Resize)"
