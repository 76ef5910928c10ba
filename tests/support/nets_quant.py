"""Small float networks as the optimizer leaves them, built with onnx helpers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from bpu_common.network import Network
from bpu_common.tensor import IMAGE_SCALE, DType, InputType, Layout, ModelInput, TensorSpec
from bpu_host.compiler import quantize, rules, units
from bpu_host.compiler.rules.placement import own_verdicts


class Net:
    """A graph under construction: methods append a node and return the name of its result."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.input_shape = shape
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"data": shape}

    def constant(self, array: np.ndarray, name: str = "") -> str:
        name = name or f"const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: object) -> str:
        index = len(self.nodes)
        names = [f"t{index}" if i == 0 else f"t{index}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op, list(inputs), names, name=f"{op}_{index}", **attributes)
        )
        return names[0]

    def conv(
        self,
        x: str,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        *,
        gain: float = 1.0,
        bias: float = 0.1,
        group: int = 1,
        op: str = "Conv",
        **attributes: object,
    ) -> str:
        """A convolution that keeps the variance of its input; channels differ in strength."""
        fan = c_in // group * kernel * kernel
        shape = (c_out, c_in // group) if op == "Conv" else (c_in, c_out // group)
        weights = self.random.normal(0, gain * np.sqrt(2 / fan), (*shape, kernel, kernel))
        strength = self.random.uniform(0.3, 1.5, c_out)
        if op == "Conv":
            weights *= strength[:, None, None, None]
        biases = self.random.normal(0, bias, c_out)
        return self.node(
            op,
            [
                x,
                self.constant(weights.astype(np.float32)),
                self.constant(biases.astype(np.float32)),
            ],
            group=group,
            **attributes,
        )

    def model(self, *outputs: str, name: str = "net") -> ir.Model:
        """The checked model with all shapes inferred."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            initializer=self.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
        proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)


@dataclass(frozen=True, slots=True)
class On:
    """A verdict."""

    on: str = "BPU"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A calibration result."""

    thresholds: dict[str, float]
    method: str = "max"


def verdicts(model: ir.Model, *, cpu: Sequence[str] = ()) -> dict[str, On]:
    """Every node on the BPU but those named."""
    return {
        node.name: On("CPU", "named by the test") if node.name in cpu else On()
        for node in model.graph
    }


def image_input(height: int, width: int, channels: int = 3, name: str = "data") -> ModelInput:
    spec = TensorSpec(
        name, (1, height, width, channels), DType.INT8, Layout.NHWC, scale=IMAGE_SCALE
    )
    kind = InputType.GRAY if channels == 1 else InputType.YUV444
    return ModelInput(spec, kind, Layout.NHWC)


def feature_input(*shape: int, name: str = "data") -> ModelInput:
    layout = Layout.NCHW if len(shape) == 4 else Layout.NONE
    return ModelInput(TensorSpec(name, shape, DType.FLOAT32, layout), InputType.FEATUREMAP, layout)


def all_tensors(model: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every float tensor of one run in onnxruntime."""
    proto = ir.to_proto(model)
    known = {o.name for o in proto.graph.output}
    for node in proto.graph.node:
        for name in node.output:
            if name and name not in known:
                proto.graph.output.append(onnx.ValueInfoProto(name=name))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True)
    )
    return {**feeds, **found}


def max_thresholds(model: ir.Model, samples: Sequence[dict[str, np.ndarray]]) -> Thresholds:
    """Thresholds of the max method, the simple way."""
    found: dict[str, float] = {}
    for feeds in samples:
        for name, array in all_tensors(model, feeds).items():
            if array.dtype == np.float32 and array.size:
                found[name] = max(found.get(name, 0.0), float(np.abs(array).max()))
    return Thresholds(found)


def sqnr_db(real: np.ndarray, other: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    real, other = real.astype(np.float64), other.astype(np.float64)
    noise = float(((real - other) ** 2).sum())
    return float("inf") if noise == 0 else 10 * np.log10(float((real**2).sum()) / noise)


def placed(model: ir.Model, *inputs: ModelInput, cpu: Sequence[str] = ()) -> rules.Placement:
    """Every node that can be work on the BPU but those named, whatever sizes and neighbours are."""
    plan = units.recognise(model, inputs)
    verdicts = own_verdicts(plan)
    for group in plan.units.values():
        verdicts.update((name, rules.Verdict("BPU")) for name in group[0].sources)
    named = rules.Verdict("CPU", "named by the test", "USER")
    free = frozenset(verdicts) - set(cpu)
    return rules.Placement(plan, {**verdicts, **dict.fromkeys(cpu, named)}, free)


def lowered(
    model: ir.Model,
    verdicts: Mapping[str, On],
    thresholds: Thresholds,
    inputs: tuple[ModelInput, ...],
    name: str,
) -> Network:
    """The network when all that is possible runs on the BPU but what `verdicts` puts on the CPU."""
    cpu = [node for node, verdict in verdicts.items() if verdict.on == "CPU"]
    return quantize.lower(placed(model, *inputs, cpu=cpu), thresholds, name).network
