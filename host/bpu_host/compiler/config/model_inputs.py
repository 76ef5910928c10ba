"""What a model file says about the inputs of a configuration, before their shapes are checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from bpu_common.tensor import DType
from bpu_host.compiler.config.values import CompileConfig, GraphInput


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """What a model file says about its inputs.

    Attributes:
        inputs: those that are read.
        dtypes: of these, by name, in their order; float32 where one is missing.
        unread: names of the others.
    """

    inputs: tuple[GraphInput, ...]
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    unread: Collection[str] = ()


def fit_to_model(
    config: CompileConfig, dtypes: Mapping[str, DType], unread: Collection[str]
) -> CompileConfig:
    """The configuration without the inputs that no node reads, the others with their types.

    Args:
        dtypes: of the inputs that are read, by name, in their order.
        unread: names of the others; a configuration may list them, or not.
    """
    inputs = [item for item in config.inputs if item.name not in unread]
    names = [item.name or name for item, name in zip(inputs, dtypes, strict=False)]
    known = [*names, *(item.name for item in inputs[len(names) :])]
    typed = (
        replace(item, dtype=dtypes.get(name, item.dtype))
        for item, name in zip(inputs, known, strict=True)
    )
    return replace(config, inputs=tuple(typed))
