"""Single layers whose compiler estimates were published: a small network and a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.fidelity.builder import INPUT, NetBuilder
from benchmarks.fidelity.lowering import placed
from benchmarks.networks import OPSET
from bpu_common.machine import MachineSpec
from bpu_sim.timing import predict


@dataclass(frozen=True, slots=True)
class Layer:
    """A published time of one layer.

    Attributes:
        network: the small network that has it.
        prefix: of the operation's name; empty for the whole program, loads included.
        low_us, high_us: as published; equal where one figure is.
    """

    name: str
    network: str
    prefix: str
    low_us: float
    high_us: float


LAYERS = (
    Layer("3x3 convolution, 3 to 16 channels, 224x224", "toy", "conv0", 114, 114),
    Layer("7x7 depthwise of stride 7, 16 channels", "toy", "conv2", 34, 34),
    Layer("1024x1024 product, one row", "product", "", 117, 126),
)


def toy() -> onnx.ModelProto:
    """The first two layers of the small network."""
    net = NetBuilder("toy", 224, seed=21)
    x = net.conv(INPUT, 16, 3, norm=False, act="relu")
    x = net.conv(x, 16, 7, 7, groups=16, norm=False, same=True)
    return net.model({x: [1, *net.shapes[x]]})


def product() -> onnx.ModelProto:
    """1024 values times a matrix of 1024x1024, as a convolution of a 1x1 map."""
    weights = np.random.default_rng(22).normal(0, 0.03, (1024, 1024, 1, 1)).astype(np.float32)
    shape = [1, 1024, 1, 1]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "product", kernel_shape=[1, 1])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    return model


def small_layers(spec: MachineSpec) -> list[tuple[Layer, float]]:
    """Each published layer with its predicted time in us."""
    models = {"toy": placed(toy(), spec), "product": placed(product(), spec, picture=False)}
    found = []
    for layer in LAYERS:
        model = models[layer.network]
        part, made = model.bpu_parts[0]
        timing = predict(made.program, spec)
        cycles = timing.cycles
        if layer.prefix:
            cycles = sum(
                operation.cycles - operation.stall_cycles
                for operation in timing.operations
                if part.ops[operation.operation].name.startswith(layer.prefix)
            )
        found.append((layer, cycles * 1e6 / spec.clock_hz))
    return found
