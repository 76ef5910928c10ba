"""The YAML configuration of `hb_mapper makertbin`, checked and turned into values."""

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
    """The values' classes, when they are asked for: a mistake in a file is told without them."""
    if name not in __all__:
        raise AttributeError(name)
    from bpu_host.compiler.config import values

    return getattr(values, name)
