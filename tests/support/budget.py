"""Property tests that stop drawing when their time is used up."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


def within(cpu_seconds: float) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Below `given`: further examples pass unseen once the examples took this much CPU time.

    After a failure every example runs, so that hypothesis can make it smaller.
    """

    def limited(test: Callable[P, None]) -> Callable[P, None]:
        used_s, failed = 0.0, False

        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            nonlocal used_s, failed
            if used_s >= cpu_seconds and not failed:
                return
            start_s = time.process_time()
            try:
                test(*args, **kwargs)
            except BaseException:
                failed = True
                raise
            used_s += time.process_time() - start_s

        return run

    return limited
