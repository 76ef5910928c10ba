"""What a reader must know to run a model, by name.

A file lists the features it needs; a reader that lacks one says so by its name, instead of failing
at a field it does not know or, worse, ignoring it. The list follows from what the model holds: too
short a list would let an older reader compute something else, too long a one would shut it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bpu_common.errors import ModelFormatError
from bpu_common.model import BpuModel
from bpu_common.network import BPU_OPS, CustomOp, Operation, Place, QConv, QEltwise
from bpu_common.tensor import DType, InputSource, TensorSpec


def features_of(model: BpuModel) -> tuple[str, ...]:
    """The features that a model needs, in the order of their names."""
    return tuple(sorted(name for name, needs in _NEEDS.items() if needs(model)))


def refuse_unknown(features: Sequence[str]) -> None:
    """Refuse a model that needs more than this version has.

    Raises:
        ModelFormatError: the message names what is missing.
    """
    missing = [name for name in features if name not in _NEEDS]
    if missing:
        names = ", ".join(map(repr, missing[:8]))
        word = "feature" if len(missing) == 1 else "features"
        raise ModelFormatError(
            f"needs the {word} {names}, which this version does not have",
            hint="use the OpenBPU version that made the model, or convert it again",
        )


def _ops(model: BpuModel) -> Iterator[Operation]:
    return iter(model.network.ops)


def _tensors(model: BpuModel) -> Iterator[TensorSpec]:
    yield from model.network.tensors.values()
    for node in model.network.removed:
        yield node.x
        yield node.y


def _convolutions(model: BpuModel) -> Iterator[QConv]:
    return (op for op in _ops(model) if isinstance(op, QConv))


def _eltwise_tables(model: BpuModel) -> bool:
    return any(isinstance(op, QEltwise) and len(op.entries) > 1 for op in _ops(model))


def _cpu_int8(model: BpuModel) -> bool:
    parts = (part for part in model.network.parts if part.place is Place.CPU)
    return any(isinstance(op, BPU_OPS) for part in parts for op in part.ops)


def _channel_scales(model: BpuModel) -> bool:
    """Per-channel scales of feature maps; those of int32 results are as old as the format."""
    return any(s.scale.is_per_channel and s.dtype is not DType.INT32 for s in _tensors(model))


def _several_cores(model: BpuModel) -> bool:
    calls = (call for made in model.programs.values() for call in made.program.calls)
    return any(len(call.streams) > 1 for call in calls)


_NEEDS: dict[str, Callable[[BpuModel], bool]] = {
    "addend": lambda m: any(op.addend is not None for op in _convolutions(m)),
    "channel_scales": _channel_scales,
    "cpu_int8": _cpu_int8,
    "custom_operators": lambda m: any(isinstance(op, CustomOp) for op in _ops(m)),
    "dump_outputs": lambda m: any(output.layer for output in m.network.outputs),
    "eltwise_tables": _eltwise_tables,
    "frames": lambda m: any(made.program.frames > 1 for made in m.programs.values()),
    "int4": lambda m: any(spec.dtype.size_bits < 8 for spec in _tensors(m)),
    "pad_code": lambda m: any(op.pad_code != 0 for op in _convolutions(m)),
    "removed_nodes": lambda m: bool(m.network.removed),
    "roi": lambda m: any(item.source is InputSource.RESIZER for item in m.inputs),
    "strides": lambda m: any(spec.strides_bytes for spec in _tensors(m)),
    "two_cores": _several_cores,
    "zero_points": lambda m: any(any(spec.scale.zero_points) for spec in _tensors(m)),
}
"""Feature -> whether a model needs it; the names are those of docs/bin-format.md."""

FEATURES = tuple(_NEEDS)
