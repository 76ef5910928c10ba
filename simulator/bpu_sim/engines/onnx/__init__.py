"""ONNX without its package: writing graphs, checking those out of a file, running them."""

from bpu_sim.engines.onnx.check import GraphInfo, check_graph
from bpu_sim.engines.onnx.operators import CPU_OPERATORS
from bpu_sim.engines.onnx.session import UNSOUND_OPTIMIZERS, Session

__all__ = ["CPU_OPERATORS", "UNSOUND_OPTIMIZERS", "GraphInfo", "Session", "check_graph"]
