"""Every hostile input gets one sentence, in bounded time and memory. Kinds are files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.row import Row, check
from tests.hostile.table import ELSEWHERE, PAGE, ROWS, page

ROOT = PAGE.parents[1]


def test_rows_have_different_names() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run `make docs`"


@pytest.mark.parametrize("test", [each[2] for each in ELSEWHERE])
def test_what_the_table_names_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).exists()
    assert not name or re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_answer(row: Row, tmp_path: Path) -> None:
    text = check(row, tmp_path)
    assert row.status == 0 or "error: " in text or "ERROR " in text
    assert not (tmp_path / "was_run").exists()
