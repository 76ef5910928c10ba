"""Every hostile input gets one sentence, in bounded time and memory. Kinds are files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import bin_files, caffe_files, onnx_files, picture_files, recordings, yaml_files
from tests.hostile.row import Row, check

KINDS = (bin_files, caffe_files, onnx_files, picture_files, recordings, yaml_files)
ROWS: tuple[Row, ...] = tuple(row for kind in KINDS for row in kind.ROWS)


def test_rows_have_different_names() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_answer(row: Row, tmp_path: Path) -> None:
    text = check(row, tmp_path)
    assert row.status == 0 or "error: " in text or "ERROR " in text
    assert not (tmp_path / "was_run").exists()
