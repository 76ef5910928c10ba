"""The fast path: BPU segments run by onnxruntime, after their graphs have been checked."""

from bpu_sim.fastpath.segment import FastSegment

__all__ = ["FastSegment"]
