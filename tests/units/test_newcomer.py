"""The worked example of docs/architecture.md names exactly the files that know the operator."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATOR = "HardSwish"


def test_the_worked_example_lists_every_file() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = text.split(f"## Adding an operator: {OPERATOR}")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    sources = [
        path
        for package in ("common", "simulator", "board", "host")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".csv", ".proto")
    ]
    found = {
        str(path.relative_to(ROOT))
        for path in (*sources, ROOT / "docs/supported-ops.md")
        if OPERATOR in path.read_text(encoding="utf-8")
    }
    assert listed == found
