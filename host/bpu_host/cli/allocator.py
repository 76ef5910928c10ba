"""The C library's allocator, set for a program that makes and frees large tensors all the time."""

from __future__ import annotations

import os
import sys

from bpu_common.environment import ALLOCATOR

_TUNABLES = {
    # Larger pieces are mapped one by one and go back when freed. If nobody says so, glibc raises
    # this with what it sees, up to 32 MB, and freed tensors stay in its heaps in fragments.
    "mmap_threshold": 4 << 20,
    "trim_threshold": 16 << 20,
    "arena_max": 1,
    # Huge pages: memory that comes and goes costs a page fault for 2 MB, not for 4 KB.
    "hugetlb": 1,
}


def set_allocator() -> None:
    """Begin this program anew with these settings, which glibc reads only at the start.

    To be called before anything is opened. It does nothing the second time, and where the
    environment has settings of its own, these or MALLOC_* variables.
    """
    own = ALLOCATOR.value or any(name.startswith("MALLOC_") for name in os.environ)
    if own or sys.platform != "linux" or not sys.executable:
        return
    settings = ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())
    environment = {**os.environ, ALLOCATOR.name: settings}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
