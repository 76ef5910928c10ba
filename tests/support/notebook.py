"""Runs the code cells of a notebook in one namespace, as a kernel would, and keeps what they show.

`python -m tests.support.notebook FILE` writes the outputs into the file, and FILE.html beside it to
look at.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import html
import io
import json
import sys
from pathlib import Path
from typing import Any

_STYLE = (
    "body{font:15px sans-serif;max-width:60em;margin:2em auto} pre{background:#f4f4f4;padding:8px}"
)


def load(path: Path) -> dict[str, Any]:
    """The notebook as nested values."""
    found = json.loads(path.read_text())
    assert found["nbformat"] == 4
    return found


def run(notebook: dict[str, Any]) -> None:
    """Execute the code cells in order; their outputs replace those in the notebook.

    Raises:
        Exception: whatever a cell raised.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = _execute("".join(cell["source"]), names, count)


def _execute(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, shown = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
    if shown is not None:
        outputs.append(
            {
                "output_type": "execute_result",
                "execution_count": count,
                "metadata": {},
                "data": _forms(shown),
            }
        )
    return outputs


def _forms(shown: Any) -> dict[str, Any]:
    """What a value shows of itself, by MIME type."""
    found: dict[str, Any] = {"text/plain": repr(shown).splitlines(keepends=True)}
    if hasattr(shown, "_repr_html_"):
        found["text/html"] = shown._repr_html_().splitlines(keepends=True)
    if hasattr(shown, "_repr_png_"):
        found["image/png"] = base64.b64encode(shown._repr_png_()).decode()
    return found


def as_html(notebook: dict[str, Any]) -> str:
    """A page to look at; Markdown stays as it is written."""
    parts = [f"<meta charset='utf-8'><style>{_STYLE}</style>"]
    for cell in notebook["cells"]:
        source = html.escape("".join(cell["source"]))
        parts.append(f"<pre>{source}</pre>" if cell["cell_type"] == "code" else f"<p>{source}</p>")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", [])})
            if "image/png" in data:
                parts.append(f"<img src='data:image/png;base64,{data['image/png']}'>")
            elif "text/html" in data:
                parts.append("".join(data["text/html"]))
            else:
                parts.append(f"<div>{html.escape(''.join(data['text/plain']))}</div>")
    return "\n".join(parts)


def main(path: Path) -> None:
    """Run a notebook and write what it shows."""
    notebook = load(path)
    run(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".html").write_text(as_html(notebook))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
