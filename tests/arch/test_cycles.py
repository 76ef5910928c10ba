"""No module leads back to itself by any chain of imports, deferred ones included.

import-linter holds that for packages beside each other; this holds it for single modules, and reads
the files itself: an import in a function or below a condition counts like any other.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("common", "simulator", "board", "host")


def modules() -> dict[str, Path]:
    """Files of the product by module name."""
    found = {}
    for source in SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            parts = path.relative_to(ROOT / source).with_suffix("").parts
            if "gen" not in parts:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, known: set[str]) -> set[str]:
    """Modules of `known` that a file imports; of `from package import module` the module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "relative imports are not used here"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def test_modules_form_no_circle() -> None:
    paths = modules()
    assert len(paths) > 100, "no modules found: the test looks in the wrong place"
    graph = {
        name: imported(ast.parse(path.read_text()), set(paths)) - {name}
        for name, path in paths.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"modules import each other: {' <- '.join(error.args[1])}") from None


def test_a_deferred_import_counts() -> None:
    text = "def run():\n    from a.b import c\n    if run:\n        import a.d"
    assert imported(ast.parse(text), {"a", "a.b", "a.b.c", "a.d"}) == {"a.b.c", "a.d"}
