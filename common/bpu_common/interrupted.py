"""Ctrl-C while a program still imports what it needs: one line and 130, as when it runs.

This module imports nothing heavy: every start passes here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """As a decorator or by `with`: Ctrl-C ends the process with a line, not with a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
