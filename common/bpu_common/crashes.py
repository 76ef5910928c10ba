"""What a signal that ended a process says of the native code that ran in it.

This module imports nothing heavy: `hb_mapper` passes here at its start.
"""

from __future__ import annotations

import signal

_WHY = {
    signal.SIGFPE: "an integer division without a result, by zero or of the least number by -1",
    signal.SIGSEGV: "{code} read or wrote memory that is not its own",
    signal.SIGBUS: "{code} read or wrote memory that is not there",
    signal.SIGILL: "an instruction that this processor does not have",
    signal.SIGABRT: "{code} gave up",
}


def crash_reason(number: signal.Signals, code: str) -> str:
    """Why code ended its process; empty for signals that come from outside.

    Args:
        code: what to call it.
    """
    return _WHY.get(number, "").format(code=code)
