"""Products appear together or not at all, also when a conversion is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bpu_host.compiler.products import Products

CHILD = """
import sys, time
from pathlib import Path
from bpu_host.compiler.products import Products
with Products(Path(sys.argv[1])) as products:
    products.add("a.bin", b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_all_together(tmp_path: Path) -> None:
    with Products(tmp_path / "out") as products:
        products.add("a.onnx", b"1")
        products.add("a.bin", b"2")
        assert [path.suffix for path in (tmp_path / "out").iterdir()] == [""]
        products.publish()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "a.onnx": b"1",
        "a.bin": b"2",
    }


def killed(folder: Path) -> None:
    """A conversion into `folder` that is killed in the middle, its remains a while old."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    age(folder)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


def age(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)


def test_the_next_conversion_sweeps_up_after_a_killed_one(tmp_path: Path) -> None:
    killed(tmp_path)
    assert [path.name.startswith(".partial-") for path in tmp_path.iterdir()] == [True]
    with Products(tmp_path) as products:
        products.add("a.bin", b"whole")
        products.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_conversions_beside_each_other_leave_each_other_alone(tmp_path: Path) -> None:
    with Products(tmp_path) as first:
        first.add("a.bin", b"first")
        age(tmp_path)
        with Products(tmp_path) as second:
            second.add("b.bin", b"second")
            second.publish()
        first.publish()
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "b.bin"}


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Products(tmp_path) as products:
            products.add("a.bin", b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
