"""The YAML configuration of `hb_mapper makertbin`, checked and turned into values."""

from bpu_host.compiler.config.load import load_config
from bpu_host.compiler.config.values import (
    CalibrationMethod,
    CompileConfig,
    InputConfig,
    resolve,
)

__all__ = ["CalibrationMethod", "CompileConfig", "InputConfig", "load_config", "resolve"]
