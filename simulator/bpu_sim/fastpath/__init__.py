"""The fast path: BPU segments run by onnxruntime, after their graphs have been checked."""

from bpu_sim.fastpath.check import GraphInfo, check_graph
from bpu_sim.fastpath.segment import FastSegment, make_session, session_options

__all__ = ["FastSegment", "GraphInfo", "check_graph", "make_session", "session_options"]
