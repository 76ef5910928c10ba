"""Float operators of a model in a process of their own.

onnxruntime is native code, and what a model asks of it comes from a file: a division without a
result ends the process, one operator may ask for all memory or for a day. So graphs out of a file
run in a worker process with limits of its own. Whatever happens in it is an error of one frame.

    layout    where graph, constants, inputs and outputs lie in the memory that both share
    child     the worker: opens sessions, runs them, says how it went
    worker    the process seen from outside: starts it, ends it, says what ended it
    session   one graph in it, with the interface of `engines.onnx.Session`
"""

from bpu_sim.engines.contained.session import ContainedSession
from bpu_sim.engines.contained.worker import Worker

__all__ = ["ContainedSession", "Worker"]
