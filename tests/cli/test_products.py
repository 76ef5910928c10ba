"""Products appear together or not at all, also when a conversion is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.errors import CapacityError, UsageError
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


NAMES = ("a.onnx", "b.onnx", "c.bin")


@given(
    older=st.sets(st.sampled_from(NAMES)),
    fails_at=st.integers(0, len(NAMES) - 1),
    error=st.sampled_from([OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "bad"),
                           KeyboardInterrupt()]),
    links=st.booleans(),
)  # fmt: skip
def test_a_failure_between_the_renames_brings_all_old_files_back(
    older: set[str], fails_at: int, error: BaseException, links: bool
) -> None:
    """The oracle is the folder as it was, and as it is once nothing fails."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    def replace(self: Path, target: Path) -> Path:
        if Path(target) == folder / NAMES[fails_at] and self.name == NAMES[fails_at]:
            raise error
        return rename(self, target)

    rename = Path.replace
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        for each in older:
            (folder / each).write_text(f"old {each}")
        before = contents(folder)
        if not links:
            patch.setattr(os, "link", refuse)
        with Products(folder, NAMES) as products:
            for each in NAMES:
                products.add(each, f"new {each}".encode())
            with patch.context() as broken:
                broken.setattr(Path, "replace", replace)
                with pytest.raises((CapacityError, UsageError, KeyboardInterrupt)) as caught:
                    products.publish()
            if isinstance(error, OSError):
                assert caught.value.where == str(folder / NAMES[fails_at])
                assert caught.value.hint
        assert contents(folder) == before
        publish(folder)
        assert contents(folder) == {each: f"new {each}" for each in NAMES}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def publish(folder: Path) -> None:
    with Products(folder, NAMES) as products:
        for each in NAMES:
            products.add(each, f"new {each}".encode())
        products.publish()


def test_a_folder_in_the_way_is_named_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "c.bin").mkdir()
    (tmp_path / "a.onnx").write_text("old")
    with pytest.raises(UsageError, match="has the name of a file") as caught:
        Products(tmp_path, NAMES).__enter__()
    assert caught.value.where == str(tmp_path / "c.bin")
    assert "move the folder away" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "c.bin"]


def test_a_folder_that_comes_in_the_way_meanwhile_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("old")
    with Products(tmp_path, NAMES) as products:
        for each in NAMES:
            products.add(each, b"new")
        (tmp_path / "c.bin").mkdir()
        with pytest.raises(UsageError, match="has the name of a file"):
            products.publish()
    assert (tmp_path / "a.onnx").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "c.bin"]


def test_a_full_disk_names_the_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "c.bin").write_text("old")
    with Products(tmp_path, NAMES) as products:
        products.add("a.onnx", b"new")
        monkeypatch.setattr("bpu_common.files.os.fsync", full)
        with pytest.raises(CapacityError, match="no space left") as caught:
            products.add("c.bin", b"new")
    assert caught.value.where == str(tmp_path / "c.bin")
    assert contents(tmp_path) == {"c.bin": "old"}
