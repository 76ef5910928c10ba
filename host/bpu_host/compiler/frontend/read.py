"""The one door for float models: whatever their format, a `FloatModel` comes in."""

from __future__ import annotations

from bpu_host.compiler.config.values import CompileConfig
from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.onnx import read_onnx


def read(config: CompileConfig) -> FloatModel:
    """The float model that a configuration names; its files are not looked at again.

    Raises:
        ModelFormatError: not a model, damaged, or data outside its folder.
        ModelUnsupported: something in it cannot be converted.
    """
    return read_onnx(config.model_path)
