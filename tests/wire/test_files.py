"""Files appear whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpu_common.errors import UsageError
from bpu_common.files import write_atomic, write_parts_atomic


def test_new_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_atomic(path, b"first")
    write_atomic(path, memoryview(b"second"))
    assert path.read_bytes() == b"second"
    write_atomic(path, "größe")
    assert path.read_text("utf-8") == "größe"
    assert [each.name for each in tmp_path.iterdir()] == ["out.bin"]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_atomic(path, b"old")

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        write_parts_atomic(path, parts())
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["out.bin"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"keep")
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert target.read_bytes() == b"keep"
    assert not link.is_symlink()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "out", tmp_path):
        with pytest.raises(UsageError) as caught:
            write_atomic(path, b"x")
        assert str(path) in caught.value.where
        assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
