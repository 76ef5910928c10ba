"""ONNX without its package: writing graphs, checking those out of a file, running them."""

from bpu_sim.engines.onnx.check import GraphInfo, check_graph
from bpu_sim.engines.onnx.session import UNSOUND_OPTIMIZERS, Session

__all__ = ["UNSOUND_OPTIMIZERS", "GraphInfo", "Session", "check_graph"]
