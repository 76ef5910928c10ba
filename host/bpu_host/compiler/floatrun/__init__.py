"""Running float ONNX graphs on this computer: the one place that opens sessions for them."""

from bpu_host.compiler.floatrun.cut import PythonOp, PythonOps
from bpu_host.compiler.floatrun.runner import FloatRunFailed, FloatRunner

__all__ = ["FloatRunFailed", "FloatRunner", "PythonOp", "PythonOps"]
