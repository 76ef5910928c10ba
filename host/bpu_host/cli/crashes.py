"""A command goes on in a child process: what crashes it there becomes a sentence here.

A float model is run by native code, which a model can bring down: a division of the least integer
by -1 is enough. The child is made when the command line and the configuration are known to be
right, and before any library that runs models is imported: mistakes are told without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
from types import FrameType

from bpu_common.crashes import crash_reason

_PARENT_DEATH = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def go_on_in_child(program: str) -> None:
    """Return in a child process; this one ends as the child does, and never returns.

    Args:
        program: whose crash it is.
    """
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # the handlers are not those yet
    gc.freeze()  # what the child collects is its own: pages stay shared
    child = os.fork()
    if not child:
        gc.enable()
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return

    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.kill(child, number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the child itself
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    ended_by = signal.Signals(-code)
    if reason := crash_reason(ended_by, "it"):
        sys.stderr.write(
            f"error: the model ended {program} by {ended_by.name}: {reason}\n"
            "  hint: look for integer divisions and indices in the model; "
            "shorten it with output_nodes to find the operator\n"
        )
        sys.stderr.flush()
        os._exit(1)
    if ended_by is not signal.SIGKILL:
        signal.signal(ended_by, signal.SIG_DFL)
    os.kill(os.getpid(), ended_by)
    os._exit(128 + ended_by)
