"""Bars on the shape of the tree: lengths, names, docstrings, paths that must not be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
MAX_FUNCTION_LINES = 61
MAX_MEDIAN_LINES = 250
# Fragments of absolute paths of a development machine, put together so that this file has none.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wor" + r"k|far" + r"m|roo" + r"t/|hom" + r"e/)\w*")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [path for path in tracked("*.py") if "/gen/" not in str(path)]


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in python_files()}
    assert lengths, "no Python file found: the test looks in the wrong place"
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MAX_LINES}
    assert not long, f"files over {MAX_LINES} lines: {long}"
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] <= MAX_MEDIAN_LINES


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": length
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert not long, f"functions over {MAX_FUNCTION_LINES} lines: {long}"


def test_files_say_what_they_hold() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if (tree := ast.parse(path.read_text())).body and not ast.get_docstring(tree)
    ]
    assert not silent, f"files without a docstring: {silent}"


def test_no_junk_drawers() -> None:
    junk = [p for p in python_files() if p.stem in {"utils", "util", "helpers", "misc"}]
    assert not junk, f"name these files after what they hold: {junk}"


def test_no_unfinished_work() -> None:
    pattern = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + r"Error")
    found = [str(p.relative_to(ROOT)) for p in python_files() if pattern.search(p.read_text())]
    assert not found, f"unfinished work in {found}"


def test_no_machine_paths() -> None:
    texts = tracked("*.py", "*.md", "*.toml", "*.sh", "*.yaml", "*.proto", "Makefile", ".ci/run")
    found = {
        str(path.relative_to(ROOT)): match.group(0)
        for path in texts
        if (match := MACHINE_PATHS.search(path.read_text(errors="replace")))
    }
    assert not found, f"paths of one machine: {found}"
