"""Float models in: files read, checked and brought to one form."""

from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.onnx import prepare
from bpu_host.compiler.frontend.read import read

__all__ = ["FloatModel", "prepare", "read"]
