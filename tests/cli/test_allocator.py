"""`hb_mapper` gives the memory of freed tensors back, and keeps its arguments on the way there."""

from __future__ import annotations

import os
import subprocess
import sys

MIB = 1 << 20
PROGRAM = f"""
import ctypes, sys
from bpu_host.cli.allocator import set_allocator
{{}}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def tensor():
    made = libc.malloc({8 * MIB})
    libc.memset(made, 1, {8 * MIB})
    return made

def held_mib():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) >> 10

libc.free(tensor())  # from here on glibc by itself takes such pieces from its heap
before = held_mib()
tensors = [tensor() for _ in range(20)]
for each in tensors[:-1]:  # the last one keeps the heap as long as it is
    libc.free(each)
print(held_mib() - before, *sys.argv[1:])
"""


def run(call: str, **settings: str) -> list[str]:
    """MiB held after 19 of 20 tensors of 8 MiB are freed, then the arguments."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "GLIBC_TUNABLES" and not name.startswith("MALLOC_")
    }
    command = [sys.executable, "-c", PROGRAM.format(call), "makertbin", "a b", "--config=ü"]
    done = subprocess.run(command, env=kept | settings, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(" makertbin a b --config=ü")
    return done.stdout.split()


def test_freed_tensors_go_back() -> None:
    assert int(run("set_allocator()")[0]) < 16


def test_by_itself_glibc_keeps_them() -> None:
    assert int(run("pass")[0]) > 100


def test_the_users_settings_count() -> None:
    assert int(run("set_allocator()", GLIBC_TUNABLES="glibc.malloc.check=0")[0]) > 100
    assert int(run("set_allocator()", MALLOC_ARENA_MAX="4")[0]) > 100
