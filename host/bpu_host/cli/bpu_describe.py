"""A model's inputs and outputs in words and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bpu_common.board import ModelInfo
from bpu_common.tensor import TensorSpec


def input_rows(info: ModelInfo) -> list[str]:
    """One line per input: what its caller hands over."""
    return [
        f"input {value.tensor.name}: {value.input_type.value} "
        f"{'x'.join(map(str, value.tensor.shape))} {value.layout.value}, "
        f"{value.caller_size_bytes} bytes of {value.caller_dtype.value}"
        for value in info.inputs
    ]


def output_rows(info: ModelInfo) -> list[str]:
    """One line per output."""
    return [f"output {spec.name}: {_shape(spec)}{_scale(spec)}" for spec in info.outputs]


def info_to_json(info: ModelInfo) -> dict[str, Any]:
    """Everything the board told, with plain values."""
    return {
        "name": info.name,
        "march": info.march,
        "machine": info.machine,
        "inputs": [
            {
                "name": value.tensor.name,
                "type": value.input_type.value,
                "layout": value.layout.value,
                "source": value.source.value,
                "shape": list(value.caller_shape),
                "dtype": value.caller_dtype.value,
                "network_shape": list(value.tensor.shape),
            }
            for value in info.inputs
        ],
        "outputs": [
            {
                "name": spec.name,
                "shape": list(spec.shape),
                "dtype": spec.dtype.value,
                "layout": spec.layout.value,
                "scale": list(spec.scale.values),
                "zero_points": list(spec.scale.zero_points),
                "scale_axis": spec.scale.axis,
            }
            for spec in info.outputs
        ],
        "parts": [asdict(part) for part in info.parts],
        "nodes": [
            {key: _plain(value) for key, value in asdict(node).items()} for node in info.nodes
        ],
        "parameters": info.parameters,
    }


def _plain(value: object) -> object:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shape(spec: TensorSpec) -> str:
    return f"{spec.dtype.value} {'x'.join(map(str, spec.shape))}"


def _scale(spec: TensorSpec) -> str:
    if not spec.scale:
        return ""
    if spec.scale.is_per_channel:
        return ", scale per channel"
    return f", scale {spec.scale.value:g}"
