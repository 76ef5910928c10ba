"""Whoever reads the repository finds every source it names: pages and their headings."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("common", "simulator", "board", "host", "proto", "docs", "tests", "demo")
ENDINGS = {".py", ".md", ".proto", ".toml", ".csv", ".tcss"}

# Papers that are not in the repository. Brackets keep the expression from finding itself.
ABSENT = re.compile(
    r"vendor[_ ]facts|x3_hardware[_]facts|x3_published[_]latency|model_conversion[_]chapter"
    r"|\b[Dd]ecisions? [(]?\d|\([Dd]esign[:] |[.]{2}/shared"
)
PAGE = re.compile(r"[\w./-]+\.md\b")
CITATION = re.compile(r"(docs/[\w-]+\.md)\s+\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def texts() -> dict[str, str]:
    """Hand-written texts of the tree by path; this file, which holds wrong ones, is left out."""
    files = chain(ROOT.glob("*.md"), *((ROOT / place).rglob("*") for place in PLACES))
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in ENDINGS and "gen" not in path.parts and path != Path(__file__)
    }


def lost(path: str, text: str) -> list[str]:
    """What `text`, which stands in the file `path`, cites and a reader does not find."""
    bases = (ROOT, ROOT / "docs", (ROOT / path).parent)
    pages = [
        page for page in PAGE.findall(text) if not any((base / page).is_file() for base in bases)
    ]
    headings = [
        f'{page} "{words}"'
        for page, heading in CITATION.findall(text)
        if (ROOT / page).is_file()
        if (words := " ".join(heading.split()))
        if not any(each.startswith(words) for each in HEADING.findall((ROOT / page).read_text()))
    ]
    return [*ABSENT.findall(text), *pages, *headings]


def test_every_source_is_in_the_repository() -> None:
    everything = texts()
    assert sum(len(CITATION.findall(text)) for text in everything.values()) > 20
    found = {path: names for path, text in everything.items() if (names := lost(path, text))}
    assert not found, f"name the page of docs/ that states the fact: {found}"


@pytest.mark.parametrize(
    "text",
    [
        "(vendor_facts 7.2)",
        "(decisions 15)",
        "Decision 3",
        "(design: 256 codes)",
        "`../shared`",
        "fidelity.md",
        "docs/nowhere.md",
        'docs/board.md\n    "No such\n    words"',
    ],
)
def test_a_source_that_is_not_there_is_seen(text: str) -> None:
    assert lost("common/x.py", text)


def test_a_source_that_is_there_is_accepted() -> None:
    text = (
        'docs/board.md\n    "Limits and\n    order", [boards](boards.md), CHANGELOG.md, a decision'
    )
    assert not lost("docs/board.md", text)
