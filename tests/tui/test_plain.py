"""Lines of `bpu top --once` keep to the width of the terminal."""

from __future__ import annotations

import pytest

from bpu_host.tui.plain import folded

LINE = "core 0  100.0 %  210 calls/s  168 preemptions  DDR 0.67 GB/s, calls +0.0 %  detector call 6"


@pytest.mark.parametrize("width", [30, 80, len(LINE)])
def test_a_long_line_is_broken_between_its_figures(width: int) -> None:
    lines = folded(LINE, width)
    assert all(len(line) <= width for line in lines)
    assert [part for line in lines for part in line.strip().split("  ")] == LINE.split("  ")


def test_what_cannot_be_broken_stays() -> None:
    assert folded("x" * 90, 80) == ["x" * 90]
    assert folded(LINE, len(LINE)) == [LINE]
