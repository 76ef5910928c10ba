"""Put the board's input in front of the float model: one `HzPreprocess` per input that needs it.

After it the graph input is float32 in the training layout and holds the intermediate type of the
chapter (`yuv444_128`, `RGB_128`, ...: pixel - 128); the node turns it into what the float model was
trained on, mean and scale included. It is a model-local function in standard operators.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64, InputType, Layout
from bpu_host.compiler.config.values import InputConfig
from bpu_host.compiler.passes.graph import add_constant

DOMAIN = "horizon"
NAME_PREFIX = "HZ_PREPROCESS_FOR_"
CENTRE = 128.0

CONV = "HzPreprocess"
CONV_NHWC = "HzPreprocess_nhwc"
AFFINE = "HzPreprocess_affine"

_KR, _KB = 0.299, 0.114  # BT.601
_KG = 1.0 - _KR - _KB
_YUV_TO_RGB: F64 = np.array(
    [
        [1.0, 0.0, 2 * (1 - _KR)],
        [1.0, -2 * _KB * (1 - _KB) / _KG, -2 * _KR * (1 - _KR) / _KG],
        [1.0, 2 * (1 - _KB), 0.0],
    ]
)


def original_float(model: ir.Model, inputs: Sequence[InputConfig]) -> ir.Model:
    """Insert the preprocessing nodes (in place) and return the model."""
    for config in inputs:
        if _is_needed(config):
            _insert(model, config)
    return model


def own_inputs(inputs: Sequence[InputConfig]) -> dict[str, str]:
    """The tensor of the original float model that holds what the user's file reads, by input."""
    return {
        item.name: _output_name(item.name) if _is_needed(item) else item.name for item in inputs
    }


def _is_needed(config: InputConfig) -> bool:
    return bool(config.rt_type.is_image or config.mean or config.scale)


def _output_name(input_name: str) -> str:
    return f"{NAME_PREFIX}{input_name}_output"


def colour_matrix(config: InputConfig) -> tuple[F64, F64]:
    """(matrix, offset): training pixel = matrix @ (board pixel - 128) + offset.

    nv12 and yuv444 are BT.601 full range, or studio range with `video_range`
    (docs/arithmetic.md "Colour").
    """
    rt, train = config.rt_type, config.train_type
    if rt in (InputType.NV12, InputType.YUV444) and train in (InputType.RGB, InputType.BGR):
        matrix, offset = _YUV_TO_RGB.copy(), np.full(3, CENTRE)
        if config.video_range:
            matrix *= [255 / 219, 255 / 224, 255 / 224]
            offset = np.full(3, (CENTRE - 16) * 255 / 219)
        if train is InputType.BGR:
            matrix = matrix[::-1].copy()
        return matrix, offset
    channels = config.shape_hwc[2]
    matrix = np.eye(channels)
    if {rt, train} == {InputType.RGB, InputType.BGR}:
        matrix = matrix[::-1].copy()
    return matrix, np.full(channels, CENTRE if rt.is_image else 0.0)


def _insert(model: ir.Model, config: InputConfig) -> None:
    graph = model.graph
    old = next(value for value in graph.inputs if value.name == config.name)
    channels = config.shape_hwc[2]
    mean = np.broadcast_to(np.array(config.mean or (0.0,)), (channels,))
    scale = np.broadcast_to(np.array(config.scale or (1.0,)), (channels,))
    new = ir.Value(name=config.name, shape=old.shape, type=old.type)
    position = next(i for i, value in enumerate(graph.inputs) if value is old)
    nhwc = config.train_layout is Layout.NHWC
    name = NAME_PREFIX + config.name
    if config.rt_type.is_image:
        matrix, offset = colour_matrix(config)
        weight = (matrix * scale[:, None]).reshape(channels, channels, 1, 1)
        bias = (offset - mean) * scale
        op_type = CONV_NHWC if nhwc else CONV
    else:
        shape = (1, 1, 1, channels) if nhwc else (1, channels, 1, 1)
        weight, bias = scale.reshape(shape), (-mean * scale).reshape(shape)
        op_type = AFFINE
    parts = (
        add_constant(graph, f"{name}_weight", weight.astype(np.float32)),
        add_constant(graph, f"{name}_bias", bias.astype(np.float32)),
    )
    output = ir.Value(name=_output_name(config.name), shape=old.shape, type=old.type)
    node = ir.node(op_type, [new, *parts], domain=DOMAIN, outputs=[output], name=name)
    graph.inputs[position] = new
    ir.convenience.replace_all_uses_with(old, output)
    graph.insert_before(graph[0], [node])
    model.opset_imports[DOMAIN] = 1
    function = _function(op_type)
    model.functions[function.identifier()] = function


def _function(op_type: str) -> ir.Function:
    x, w, b = (ir.Value(name=name) for name in ("x", "weight", "bias"))
    if op_type == AFFINE:
        product = ir.node("Mul", [x, w], name="scale")
        nodes = [product, ir.node("Add", [product.outputs[0], b], name="offset")]
    else:
        conv = ir.node("Conv", [x, w, b], name="linear")
        nodes = [conv]
        if op_type == CONV_NHWC:
            to_nchw = ir.node("Transpose", [x], {"perm": [0, 3, 1, 2]}, name="to_nchw")
            conv.replace_input_with(0, to_nchw.outputs[0])
            to_nhwc = ir.node("Transpose", conv.outputs, {"perm": [0, 2, 3, 1]}, name="to_nhwc")
            nodes = [to_nchw, conv, to_nhwc]
    for index, node in enumerate(nodes):
        node.outputs[0].name = "y" if node is nodes[-1] else f"t{index}"
    body = ir.Graph(
        [x, w, b], [nodes[-1].outputs[0]], nodes=nodes, opset_imports={"": 19}, name=op_type
    )
    return ir.Function(DOMAIN, op_type, graph=body, attributes=())
