"""Configurations of `makertbin` as nested dicts, for tests that change one key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

BASE: dict[str, dict[str, Any]] = {
    "model_parameters": {"onnx_model": "net.onnx", "output_model_file_prefix": "net"},
    "input_parameters": {
        "input_type_train": "rgb",
        "input_type_rt": "nv12",
        "norm_type": "data_mean_and_scale",
        "mean_value": "123.675 116.28 103.53",
        "scale_value": "0.0171 0.0175 0.0174",
    },
    "calibration_parameters": {"cal_data_dir": "cal_f32", "calibration_type": "max"},
    "compiler_parameters": {"compile_mode": "latency", "optimize_level": "O3"},
}
DELETE = object()


def config(changes: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """BASE with `{"group.key": value}` applied; DELETE removes a key or a group."""
    values = copy.deepcopy(BASE)
    for path, value in (changes or {}).items():
        group, _, key = path.partition(".")
        if not key:
            values.pop(group)
        elif value is DELETE:
            values[group].pop(key)
        else:
            values.setdefault(group, {})[key] = value
    return values


def write(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A YAML file with `config(changes)`."""
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump(config(changes), sort_keys=False), encoding="utf-8")
    return path
