"""The generated reference pages are those of the code; environment variables have one owner."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bpu_common.environment import VARIABLES
from bpu_host.compiler.config import load_config
from bpu_host.compiler.config.refused import TABLE
from bpu_host.compiler.config.schema import GROUPS
from bpu_host.reference import PAGES

ROOT = Path(__file__).parents[2]
SOURCES = ("common", "simulator", "board", "host")
OWNERS = [ROOT / "common" / "bpu_common" / name for name in ("environment.py", "completion.py")]
NOT_OURS = {"COLUMNS", "CC", "CXX"}


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name: str) -> None:
    written = (ROOT / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run make docs"


def test_every_key_and_every_refusal_is_in_the_reference() -> None:
    page = PAGES["docs/yaml.md"]()
    for group, model in GROUPS.items():
        _, _, rest = page.partition(f"\n## {group}\n")
        table = rest.partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(model.model_fields)
    assert all(refusal.sentence in page for refusal in TABLE)


def test_the_sample_is_a_configuration() -> None:
    assert load_config(ROOT / "examples" / "classifier.yaml").inputs[0].name == "data"


def reads(path: Path) -> set[str]:
    """Names that a file takes from the environment by `os.environ.get`, `[...]` or `getenv`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        target, argument = None, None
        if isinstance(node, ast.Call) and node.args:
            target, argument = node.func, node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            target, argument = node.value, node.slice
        if target is None or argument is None:
            continue
        if re.fullmatch(r"os\.(environ(\.get)?|getenv)", ast.unparse(target)):
            found.add(argument.value if isinstance(argument, ast.Constant) else "?")
    return found


def test_every_variable_is_read_through_its_owner() -> None:
    paths = [
        path for place in SOURCES for path in (ROOT / place).rglob("*.py") if path not in OWNERS
    ]
    stray = {
        str(path.relative_to(ROOT)): names for path in paths if (names := reads(path) - NOT_OURS)
    }
    assert not stray, "read it by bpu_common.environment"


def test_ours_begin_with_bpu() -> None:
    for each in VARIABLES:
        assert each.name.startswith("BPU_") == (each.whose == "OpenBPU")
        assert each.name.startswith("HB_DNN_") == (each.whose == "the vendor")
