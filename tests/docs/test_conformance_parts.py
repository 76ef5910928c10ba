"""docs/conformance-parts.md: states that are explained, pages and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance-parts.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_LINK = re.compile(r"\]\(([\w.-]+\.md)\)")
_LATER = re.compile(r"later: (.+)")


class Row(NamedTuple):
    """A row of one of the tables."""

    point: str
    state: str
    how: str
    see: str


def rows() -> list[Row]:
    """The rows of all tables, without their headers."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(each) == 4 for each in cells)
    return [Row(*each) for each in cells if each[0] not in ("point", "---", "state")]


def later() -> set[str]:
    """The names of what is still to come, from the list under their heading."""
    section = PAGE.read_text().partition("## What comes later\n")[2]
    return set(re.findall(r"^- \*\*(.+?)\*\*:", section, re.MULTILINE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.point)
def test_row(row: Row) -> None:
    named = _TEST.findall(row.see)
    if row.state == "works":
        assert named
    elif found := _LATER.fullmatch(row.state):
        assert found[1] in later()
    else:
        assert row.state == "impossible"
    assert row.how
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    for page in _LINK.findall(row.see):
        assert (PAGE.parent / page).is_file()


def test_points_have_names_of_their_own() -> None:
    names = [row.point for row in rows()]
    assert len(names) == len(set(names))
