"""The tests of the kernels, changed files among them, under the eyes of sanitizers."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from bpu_sim.kernels.build import build
from tests.support.kernels_runs import run_tests

pytestmark = pytest.mark.system


def test_no_stray_access(tmp_path: Path) -> None:
    """The watching allocator has to be there before Python's."""
    target = tmp_path / "libbpukernels.so"
    build(platform.machine(), target, sanitize="address,undefined")
    watchers = [
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    run_tests(
        target,
        LD_PRELOAD=" ".join(watchers),
        ASAN_OPTIONS="detect_leaks=0",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
