"""The one door for float models: whatever their format, a `FloatModel` comes in."""

from __future__ import annotations

from collections.abc import Mapping

from bpu_host.compiler.config.values import CompileConfig
from bpu_host.compiler.frontend.caffe import read_caffe
from bpu_host.compiler.frontend.inputs import Shape
from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.onnx import read_onnx


def read(config: CompileConfig, shapes: Mapping[str, Shape] | None = None) -> FloatModel:
    """The float model that a configuration names; its files are not looked at again.

    Args:
        shapes: of inputs, by name, that win over the model's; none: those of the configuration. A
            Caffe model is written for them; in an ONNX model shapes are fixed later (`prepare`).

    Raises:
        ModelFormatError: not a model, damaged, or data outside its folder.
        ModelUnsupported: something in it cannot be converted.
    """
    if config.prototxt is None:
        return read_onnx(config.model_path)
    if shapes is None:
        shapes = {item.name: item.shape for item in config.inputs if item.shape}
    return read_caffe(config.prototxt, config.model_path, shapes)
