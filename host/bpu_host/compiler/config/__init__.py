"""The YAML configuration of `hb_mapper makertbin`, checked and turned into values.

The values need NumPy; a mistake in a file is found and told before that is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bpu_host.compiler.config.load import load_config

if TYPE_CHECKING:
    from bpu_host.compiler.config.values import (
        CalibrationMethod,
        CompileConfig,
        InputConfig,
        resolve,
    )

__all__ = ["CalibrationMethod", "CompileConfig", "InputConfig", "load_config", "resolve"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module("bpu_host.compiler.config.values"), name)
    return found
