"""The C library's allocator, set for a program that makes and frees large tensors all the time."""

from __future__ import annotations

import ctypes
import os
import sys

from bpu_common.environment import ALLOCATOR

_OPTIONS = {
    # Larger pieces are mapped one by one and go back when freed. If nobody says so, glibc raises
    # this with what it sees, up to 32 MB, and freed tensors stay in its heaps in fragments.
    -3: 4 << 20,  # M_MMAP_THRESHOLD
    -1: 16 << 20,  # M_TRIM_THRESHOLD
    -8: 1,  # M_ARENA_MAX
}
"""By the numbers of mallopt(3)."""


def set_allocator() -> None:
    """Set it for this process and what it forks.

    It does nothing where the environment has settings of its own, glibc's tunables or MALLOC_*
    variables.
    """
    own = ALLOCATOR.value or any(name.startswith("MALLOC_") for name in os.environ)
    if own or sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
