"""The bytes of a `.bin`, loaded back and run on one sample as a board runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from bpu_common import container
from bpu_common.errors import (
    BpuError,
    CompilerBug,
    DeviceFault,
    ModelFormatError,
    ModelUnsupported,
)
from bpu_common.network import (
    CustomOp,
    Network,
    OnnxOp,
    Operation,
    Part,
    Place,
    tensors_made,
)
from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun import FloatRunner
from bpu_host.compiler.quantize import quantized_feeds
from bpu_host.compiler.quantize.metrics import relative_error
from bpu_sim.engines import open_engine
from bpu_sim.engines.ort import OrtPart, Plans

_MAX_ERROR = 0.05
"""Where float operators round otherwise, codes behind them move by single steps."""


def check_file(
    data: bytes, quantized: bytes, sample: Mapping[str, AnyArray], codes: Mapping[str, AnyArray]
) -> tuple[str, ...]:
    """See that a board can run a file, and that it gives what the quantized ONNX gives.

    Args:
        data: a `.bin` with one model.
        quantized: its `quantized_model.onnx`.
        sample: one sample for the float graph's inputs.
        codes: outputs of `quantized` for it by name, if they are known.

    Returns:
        A sentence for each output whose last bits differ because of float operators on the CPU.

    Raises:
        ModelUnsupported: it cannot be run; names the node.
        CompilerBug: it gives other values.
    """
    (model,) = container.loads(data)
    proto = onnx.load_model_from_string(quantized)
    feeds = quantized_feeds(proto, sample)
    try:
        engine, _ = open_engine(model.network, hints=model.hints)
        made = engine.run(feeds)
    except (ModelFormatError, ModelUnsupported, DeviceFault) as error:
        raise _refusal(model.network, feeds, error) from error
    floats = any(isinstance(op, OnnxOp | CustomOp) for op in model.network.ops)
    ends = [value.name for value in proto.graph.output]
    outputs = zip(ends, model.network.outputs, strict=True)
    got = {name: made[output.tensor] for name, output in outputs}
    if codes and not _differing(codes, got):
        return ()
    # Known outputs may come from a run that kept inner tensors, where floats round otherwise.
    wrong = _differing(FloatRunner(proto).run(feeds), got)
    for name, share in wrong.items():
        if not floats or share > _MAX_ERROR:
            raise CompilerBug(
                f"output '{name}' of the .bin is off by {share:.2g} of its spread from the "
                "quantized model",
                hint="report it with the model",
            )
    return tuple(
        f"output '{name}': the .bin and the quantized model differ by {share:.2g} of its spread, "
        "because float operators on the CPU round otherwise in another graph"
        for name, share in wrong.items()
    )


def _differing(wanted: Mapping[str, AnyArray], got: Mapping[str, AnyArray]) -> dict[str, float]:
    """The outputs that are not equal bit for bit, and their relative errors."""
    return {
        name: relative_error(wanted[name], array)
        for name, array in got.items()
        if wanted[name].dtype != array.dtype
        or not np.array_equal(wanted[name], array, equal_nan=_is_float(array))
    }


def _is_float(array: AnyArray) -> bool:
    return np.issubdtype(array.dtype, np.floating)


def _refusal(network: Network, feeds: Mapping[str, AnyArray], error: BpuError) -> ModelUnsupported:
    op = _first_broken(network, feeds)
    place = f"node {op.name} ({op.op_type})" if op else error.where
    return ModelUnsupported(
        f"a board cannot run the converted model: {error.message}",
        where=place,
        hint="cut the model before this node with output_nodes, or write it with other operators",
    )


def _first_broken(network: Network, feeds: Mapping[str, AnyArray]) -> OnnxOp | None:
    """The float operator with which the first broken part cannot be opened or run any more."""
    values, plans = dict(feeds), Plans.of(network)

    def run(part: Part, ops: Sequence[Operation], outputs: Sequence[str]) -> dict[str, AnyArray]:
        return OrtPart(part.name, ops, network, plans, part.inputs, outputs, 1).run(values)

    for part in network.parts:
        last = None
        try:
            for count, op in enumerate(part.ops if part.place is Place.CPU else (), 1):
                last = op if isinstance(op, OnnxOp) else last
                run(part, part.ops[:count], tensors_made(op))
            values |= run(part, part.ops, part.outputs)
        except BpuError:
            return last
    return None
