"""A float network to a model: parts, tensors, weights, and engine and program with equal bits."""

from __future__ import annotations

import numpy as np
import pytest

from bpu_common import container
from bpu_common.container.weights import ALIGN, pack_weights
from bpu_common.image import network_input
from bpu_common.machine import X3M
from bpu_common.model import BpuModel
from bpu_common.network import Network, Place, macs, tensors_made, tensors_read
from bpu_common.network.rules import result_elements
from bpu_common.provenance import Provenance
from bpu_common.task import CpuStep
from bpu_common.tensor import DType, Layout
from bpu_host.compiler.emit import EmitOptions, build_model
from bpu_sim.engines import OrtEngine
from bpu_sim.machine import ExactPart, check_hazards
from bpu_sim.timing import cpu_step_ns, task_plan
from tests.support.nets_place import LoweredNet
from tests.support.nets_quant import Net, image_input, lowered, max_thresholds, verdicts

OPTIONS = EmitOptions(debug=True)
PROVENANCE = Provenance("5e", {"net.onnx": "5e"}, "0c", {"key": "value"}, {"openbpu": "0"})


def _network() -> Network:
    """BPU, a CPU operator in the middle, BPU again, two outputs; 20 columns are padded in DDR."""
    net = Net(1, 3, 16, 20, seed=5)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    middle = net.node("Softsign", [net.conv(x, 8, 8, pads=[1, 1, 1, 1])])
    y = net.conv(middle, 8, 6, pads=[1, 1, 1, 1])
    z = net.conv(x, 8, 4, 1)
    model = net.model(y, z)
    sample = {"data": np.random.default_rng(1).integers(-128, 128, (1, 3, 16, 20))}
    feeds = {"data": sample["data"].astype(np.float32)}
    places = verdicts(model, cpu=[n.name for n in model.graph if n.op_type == "Softsign"])
    return lowered(model, places, max_thresholds(model, [feeds]), (image_input(16, 20),), "net")


@pytest.fixture(scope="module")
def network() -> Network:
    return _network()


@pytest.fixture(scope="module")
def model(network: Network) -> BpuModel:
    return build_model(network, X3M, OPTIONS, (), PROVENANCE)


def test_parts_are_a_valid_order(network: Network) -> None:
    parts = network.parts
    known = {item.tensor.name for item in network.inputs}
    for part in parts:
        assert set(part.inputs) <= known
        inside = set(part.inputs) | set(network.constants)
        for op in part.ops:
            assert set(tensors_read(op)) <= inside
            inside.update(tensors_made(op))
        known.update(part.outputs)
    assert {output.tensor for output in network.outputs} <= known
    assert sum(len(part.ops) for part in parts) == len(network.ops)


def test_few_parts_in_turn(network: Network) -> None:
    parts = network.parts
    assert [p.place for p in parts] == [Place.BPU, Place.CPU, Place.BPU, Place.CPU]
    assert [p.name for p in parts] == ["net_subgraph_0", "net_cpu_0", "net_subgraph_1", "net_cpu_1"]


def test_tensors_of_the_boundary(model: BpuModel, network: Network) -> None:
    for part in model.network.parts:
        for name in (*part.inputs, *part.outputs):
            spec = model.network.tensors[name]
            if not network.tensors[name].scale:
                assert spec.dtype is DType.FLOAT32
                continue
            assert spec.shape == (1, *network.tensors[name].shape_hwc)
            assert spec.layout is Layout.NHWC
            assert spec.scale == network.tensors[name].scale or name == "data"
            assert spec.scale.axis == (3 if len(spec.scale.values) > 1 else -1)
            if part.place is Place.BPU and name in part.outputs:
                assert spec.aligned_shape[2] == 32
    assert [o.name for o in model.outputs] == [o.tensor for o in network.outputs]
    assert model.inputs[0].tensor.aligned_shape == (1, 16, 32, 3)


def test_cpu_parts_count_their_elements(model: BpuModel) -> None:
    network = model.network
    steps = {s.name: s for s in task_plan(model, X3M).steps if isinstance(s, CpuStep)}
    kinds = {}
    for op in (op for part in network.parts if part.place is Place.CPU for op in part.ops):
        count = kinds[op.op_type] = result_elements(op, network.tensors)
        assert count > 0
        expected = CpuStep(op.name, op.op_type, cpu_step_ns(op.op_type, count, X3M.cpu))
        assert steps[op.name] == expected
    assert kinds["Softsign"] == 8 * 16 * 20
    assert kinds["HzQuantize"] == 8 * 16 * 20


def test_parameters_gain_figures_with_debug(model: BpuModel, network: Network) -> None:
    assert model.facts["key"] == "value"
    assert "function call" in model.parameters["placement.net_subgraph_0"]
    plain = build_model(network, X3M, EmitOptions())
    assert plain.parameters == plain.facts == {}


def test_same_bytes_twice(model: BpuModel) -> None:
    again = build_model(_network(), X3M, OPTIONS, (), PROVENANCE)
    assert container.dump((again,)) == container.dump((model,))


def test_programs_agree_after_the_container(model: BpuModel) -> None:
    (loaded,) = container.loads(container.dump((model,)))
    network, engine = loaded.network, OrtEngine(loaded.network)
    random = np.random.default_rng(2)
    assert len(loaded.bpu_parts) == 2
    for part, made in loaded.bpu_parts:
        check_hazards(made.program)
        raw, codes = {}, {}
        for name in part.inputs:
            image = network.images.get(name)
            if image is not None:
                raw[name] = random.integers(0, 256, image.caller_shape).astype(np.uint8)
                codes[name] = network_input(raw[name], image)
            else:
                shape = network.tensors[name].shape
                raw[name] = codes[name] = random.integers(-128, 128, shape).astype(np.int8)
        exact = ExactPart(part.name, made, network.images).run(raw)
        fast = engine.run_part(part, codes)
        assert exact.keys() == fast.keys() == set(part.outputs)
        for name in exact:
            np.testing.assert_array_equal(exact[name], fast[name])


def test_weights_are_aligned_and_shared() -> None:
    net = LoweredNet(1)
    x = net.codes((4, 4, 8))
    a, b = net.conv(x, 8), net.conv(x, 8)
    first = net.ops[0]
    twin = type(first)(
        "twin", first.x, net.ops[1].y, first.weights, first.params, *_geometry(first)
    )
    graph = net.graph(a, b)
    packed = pack_weights((first, twin))
    assert packed.places[1] == packed.places[0]
    for place in pack_weights(graph.ops).places:
        assert place.weights % ALIGN == place.params % ALIGN == 0
    offset = packed.places[1].weights
    assert packed.data[offset : offset + first.weights.size] == first.weights.tobytes()


def _geometry(op: object) -> tuple[object, ...]:
    names = ("kernel_hw", "stride_hw", "dilation_hw", "pads_tlbr", "groups")
    return tuple(getattr(op, name) for name in names)


def test_macs_are_unpadded() -> None:
    net = LoweredNet(1)
    x = net.codes((5, 7, 6))
    y = net.conv(x, 10)
    z = net.conv(y, 10, groups=5)
    net.conv(z, 4, (2, 2), pads=(1, 1, 1, 1), upsample=(2, 2))
    graph = net.graph("t2")
    found = [macs(op, graph.tensors) for op in graph.ops]
    assert found[:2] == [5 * 7 * 10 * 9 * 6, 5 * 7 * 10 * 9 * 2]
    assert found[2] == 10 * 14 * 4 * 4 * 10 // 4
    assert macs(net.ops[2], graph.tensors) == found[2]
