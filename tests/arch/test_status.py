"""docs/status.md and the table in README.md say what the code is."""

from __future__ import annotations

import runpy

from bpu_board.cli.hrt_model_exec.options import OPTIONS
from bpu_host.compiler.config.refused import TABLE
from tests.arch.test_sources import ROOT

STATUS = runpy.run_path(str(ROOT / "docs" / "generate_status.py"))


def test_both_are_current() -> None:
    assert (ROOT / "docs" / "status.md").read_text() == STATUS["status_page"](), "run `make docs`"
    text = (ROOT / "README.md").read_text()
    assert text.count(STATUS["BEGIN"]) == text.count(STATUS["END"]) == 1
    assert STATUS["readme"](text) == text, "run `make docs`"


def test_the_page_tells_every_refused_value_and_every_option() -> None:
    page = (ROOT / "docs" / "status.md").read_text()
    assert all(each.key in page and each.sentence in page for each in TABLE)
    assert all(f"`--{each.name}`" in page for each in OPTIONS)


def test_a_command_works_when_it_is_installed() -> None:
    states = {name.strip("`"): state for name, state, _ in STATUS["commands"]()}
    assert (states["hb_mapper"], states["hrt_model_exec"]) == ("works", "works")
    assert states["hb_pack"] == "not there"
