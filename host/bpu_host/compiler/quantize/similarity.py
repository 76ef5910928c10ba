"""How near the quantized model is to the float one, node by node, on one sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import onnx
import onnx_ir as ir

from bpu_common.errors import CompilerBug
from bpu_common.network import Network
from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.quantize.metrics import OutputMetrics, closeness, output_metrics
from bpu_host.compiler.weights import bare_proto

_SUFFIX = "_quantized"
_STAGE_BYTES = 64 << 20
"""Activations of the float graph fetched at once; those of the other are codes, of a quarter."""

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
    network: Network | None = None,
) -> Similarity:
    """Run both models and compare their tensors.

    Args:
        model: the optimized float graph.
        quantized: `quantized_model.onnx`: image inputs int8 NHWC, inner tensors NCHW.
        sample: one calibration sample for the float graph's inputs.
        own: what the user's own file computes of this sample, by output name; outputs are compared
            with that instead of the optimized graph's.
        network: what `quantized` was written from; says which codes stand for zero.

    Raises:
        CompilerBug: the quantized model cannot be run.
    """
    other = onnx.load_model_from_string(quantized)
    real, weights = bare_proto(model)
    outputs = zip(real.graph.output, other.graph.output, strict=True)
    ends = [_Pair("", a.name, b.name) for a, b in outputs]
    pairs = [*_twins(real, other), *ends]
    feeds = quantized_feeds(other, sample)
    names, twins = [pair.name for pair in pairs], [pair.twin for pair in pairs]
    left = FloatRunner(real, names, limit_bytes=_STAGE_BYTES, weights=weights, once=True)
    right = FloatRunner(other, twins, limit_bytes=_STAGE_BYTES // 4, once=True)
    del real, other
    result = Similarity()
    try:
        for pair, array, twin in _together(pairs, left.steps(sample), right.steps(feeds)):
            if pair.node:
                found = closeness(array, _like(array, _from_zero(pair.twin, twin, network)))
                result.cosines[pair.node], result.errors[pair.node] = found
            else:
                result.floats[pair.name], result.codes[pair.twin] = array, twin
    except FloatRunFailed as error:
        raise CompilerBug(f"a model cannot be run for its similarity: {error.message}") from error
    for end in ends:
        array, twin = result.floats[end.name], result.codes[end.twin]
        if array.size:
            best = own.get(end.name, array)
            result.outputs[end.name] = output_metrics(best, _like(best, twin))
    return result


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two tensors to be compared.

    Attributes:
        node: of the quantized model; empty for outputs of the whole model.
        name: of the float graph's tensor.
        twin: of the quantized model's.
    """

    node: str
    name: str
    twin: str


def _together(
    pairs: Sequence[_Pair],
    left: Iterator[dict[str, AnyArray]],
    right: Iterator[dict[str, AnyArray]],
) -> Iterator[tuple[_Pair, AnyArray, AnyArray]]:
    """Each pair with its tensors, as soon as both are there; then they are let go.

    Args:
        left: the float graph's tensors, some at a time.
        right: the quantized model's.
    """
    of_name: dict[str, list[_Pair]] = {}
    for pair in pairs:
        of_name.setdefault(pair.name, []).append(pair)
    uses = Counter(pair.twin for pair in pairs)
    twins: dict[str, AnyArray] = {}
    for reals in left:
        for name, array in reals.items():
            for pair in of_name[name]:
                while pair.twin not in twins:
                    twins |= next(right)
                yield pair, array, twins[pair.twin]
                uses[pair.twin] -= 1
                if not uses[pair.twin]:
                    del twins[pair.twin]
        del reals


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


def _twins(real: onnx.ModelProto, other: onnx.ModelProto) -> list[_Pair]:
    """The nodes of the quantized model that have a float twin."""
    floats = {name for node in real.graph.node for name in node.output if name}
    made = {name for node in other.graph.node for name in node.output}
    pairs: list[_Pair] = []
    for node in other.graph.node:
        name = node.output[0]
        twin = name.removesuffix(_SUFFIX)
        if node.op_type.startswith("HzQuantize") and not node.op_type.startswith("HzQuantized"):
            continue
        if name in floats:
            pairs.append(_Pair(node.name, name, name))
        elif twin in floats:
            pairs.append(_Pair(node.name, twin, twin if twin in made else name))
    return pairs


def _from_zero(name: str, codes: AnyArray, network: Network | None) -> AnyArray:
    """Codes with 0 for zero, as those of a symmetric tensor."""
    spec = None if network is None else network.tensors.get(name)
    if spec is None or not spec.scale.zero_point or codes.dtype != np.int8:
        return codes
    return codes.astype(np.int16) - np.int16(spec.scale.zero_point)


def _like(real: AnyArray, other: AnyArray) -> AnyArray:
    """`other` with its axes in the order of `real`: NHWC codes become NCHW."""
    if real.shape == other.shape or real.ndim != 4 or other.ndim != 4:
        return other
    turned = other.transpose(0, 3, 1, 2)
    return turned if turned.shape == real.shape else other
