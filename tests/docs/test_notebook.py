"""The example notebook runs, and what it keeps to look at is what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import notebook

PATH = Path(__file__).parents[2] / "examples" / "first-steps.ipynb"


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found, kept = notebook.load(PATH), notebook.load(PATH)
    notebook.run(found)
    for now, before in zip(found["cells"], kept["cells"], strict=True):
        forms = [sorted(output.get("data", {})) for output in now.get("outputs", ())]
        assert forms == [sorted(output.get("data", {})) for output in before.get("outputs", ())]
    [near] = re.findall(r"cosine (0\.\d+)\\n", str(found))
    assert float(near) > 0.98
    assert "simulated" in notebook.as_html(found)


def test_it_keeps_no_paths_of_a_machine() -> None:
    text = PATH.read_text()
    assert not re.search(r'[">]/(?:home|root|work|tmp)/', text.replace("unix:", ""))
