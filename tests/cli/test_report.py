"""The form of the printed tables."""

from __future__ import annotations

from bpu_common.model import NodeInfo
from bpu_host.compiler.report import checker_table, format_table, node_table, shorten


def test_table_has_the_chapter_s_form() -> None:
    rows = [
        NodeInfo("conv1", "BPU", 0, "HzSQuantizedConv", 0.999936, 127.0, "int8", "int8"),
        NodeInfo("prob", "CPU", -1, "Softmax", float("nan"), float("nan"), "float", "float"),
    ]
    assert checker_table(rows) == (
        "========================================\n"
        "Node   ON   Subgraph  Type\n"
        "----------------------------------------\n"
        "conv1  BPU  id(0)     HzSQuantizedConv\n"
        "prob   CPU  --        Softmax"
    )
    lines = node_table(rows).splitlines()
    assert lines[3].split() == [
        "conv1", "BPU", "id(0)", "HzSQuantizedConv", "0.999936", "127.000000", "int8/int8",
    ]  # fmt: skip
    assert lines[4].split() == ["prob", "CPU", "--", "Softmax", "--", "--", "float/float"]
    assert len(lines[0]) == len(lines[2]) >= len(lines[1])


def test_long_names_lose_their_beginning() -> None:
    name = "a" * 30 + "b" * 30
    assert shorten(name) == "..." + name[-47:]
    assert len(shorten(name)) == 50
    assert shorten("x" * 50) == "x" * 50


def test_an_empty_table_has_its_header() -> None:
    assert format_table(("A", "B"), []).splitlines() == ["======", "A  B", "------"]
