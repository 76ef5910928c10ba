"""How near the quantized model is to the float one, node by node, on one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import onnx
import onnx_ir as ir

from bpu_common.errors import CompilerBug
from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.quantize.metrics import OutputMetrics, closeness, output_metrics

_SUFFIX = "_quantized"
_FETCHED_BYTES = 192 << 20
"""Activations held at once, of each of the two models (counted as float32)."""

Feeds = Mapping[str, AnyArray]


_NONE: Mapping[str, AnyArray] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near the quantized model is to the float one.

    Attributes:
        cosines: of every node's first output, by node name of the quantized model. Codes are
            compared as they are (a cosine does not see a per-tensor scale); where the quantized
            model also holds the dequantized tensor, that is compared. Nodes without a float twin
            (scale fusion, quantize) are missing.
        errors: `relative_error` of the same tensors.
        outputs: distances of the model's outputs, by output name; empty ones are missing.
        floats: the outputs of the float graph, by name.
        codes: the outputs of the quantized model, by name.
    """

    cosines: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, OutputMetrics] = field(default_factory=dict)
    floats: dict[str, AnyArray] = field(default_factory=dict)
    codes: dict[str, AnyArray] = field(default_factory=dict)


def similarity(
    model: ir.Model,
    quantized: bytes,
    sample: Feeds,
    own: Mapping[str, AnyArray] = _NONE,
) -> Similarity:
    """Run both models and compare their tensors.

    Args:
        model: the optimized float graph.
        quantized: `quantized_model.onnx`: image inputs int8 NHWC, inner tensors NCHW.
        sample: one calibration sample for the float graph's inputs.
        own: what the user's own file computes of this sample, by output name; outputs are compared
            with that instead of the optimized graph's.

    Raises:
        CompilerBug: the quantized model cannot be run.
    """
    real, other = ir.to_proto(model), onnx.load_model_from_string(quantized)
    pairs = _twins(real, other)
    sizes = {v.name: _elements(v) for node in model.graph for v in node.outputs if v.name}
    result = Similarity()
    feeds = quantized_feeds(other, sample)
    outputs = zip(real.graph.output, other.graph.output, strict=True)
    ends = [(a.name, b.name) for a, b in outputs]
    for group in _groups(pairs, sizes):
        left = _fetch(real, [name for _, name, _ in group], sample)
        right = _fetch(other, [twin for _, _, twin in group], feeds)
        for node, name, twin in group:
            like = _like(left[name], right[twin])
            result.cosines[node], result.errors[node] = closeness(left[name], like)
        for name, twin in ends:
            if name in result.floats:
                continue
            result.floats[name], result.codes[twin] = left[name], right[twin]
            if left[name].size:
                best = own.get(name, left[name])
                result.outputs[name] = output_metrics(best, _like(best, right[twin]))
    return result


def quantized_feeds(quantized: onnx.ModelProto, sample: Feeds) -> dict[str, AnyArray]:
    """A float sample as the quantized model's inputs: images int8 NHWC, featuremaps as they are."""
    feeds: dict[str, AnyArray] = {}
    for value in quantized.graph.input:
        array = sample[value.name]
        if value.type.tensor_type.elem_type != onnx.TensorProto.INT8 or array.dtype == np.int8:
            feeds[value.name] = array
            continue
        shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        if array.shape != shape:
            array = array.transpose(0, 2, 3, 1)
        codes = np.rint(array).clip(-128, 127).astype(np.int8)
        feeds[value.name] = np.ascontiguousarray(codes)
    return feeds


def _twins(real: onnx.ModelProto, other: onnx.ModelProto) -> list[tuple[str, str, str]]:
    """(node of the quantized model, float tensor, tensor of the quantized model)."""
    floats = {name for node in real.graph.node for name in node.output if name}
    made = {name for node in other.graph.node for name in node.output}
    pairs: list[tuple[str, str, str]] = []
    for node in other.graph.node:
        name = node.output[0]
        twin = name.removesuffix(_SUFFIX)
        if node.op_type.startswith("HzQuantize") and not node.op_type.startswith("HzQuantized"):
            continue
        if name in floats:
            pairs.append((node.name, name, name))
        elif twin in floats:
            pairs.append((node.name, twin, twin if twin in made else name))
    return pairs


def _groups(
    pairs: Sequence[tuple[str, str, str]], sizes: Mapping[str, int]
) -> list[list[tuple[str, str, str]]]:
    """At least one, of at most so many bytes each."""
    groups: list[list[tuple[str, str, str]]] = [[]]
    filled = 0
    for pair in pairs:
        size = sizes.get(pair[1], 0) * 4
        if groups[-1] and filled + size > _FETCHED_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(pair)
        filled += size
    return groups


def _elements(value: ir.Value) -> int:
    shape = value.shape
    if shape is None:
        return 0
    return int(np.prod([size for size in shape if isinstance(size, int)], dtype=np.int64))


def _fetch(model: onnx.ModelProto, names: Sequence[str], feeds: Feeds) -> dict[str, AnyArray]:
    """The outputs and these tensors of one run, by name."""
    try:
        return FloatRunner(model, names).run(feeds)
    except FloatRunFailed as error:
        raise CompilerBug(f"a model cannot be run for its similarity: {error.message}") from error


def _like(real: AnyArray, other: AnyArray) -> AnyArray:
    """`other` with its axes in the order of `real`: NHWC codes become NCHW."""
    if real.shape == other.shape or real.ndim != 4 or other.ndim != 4:
        return other
    turned = other.transpose(0, 3, 1, 2)
    return turned if turned.shape == real.shape else other
