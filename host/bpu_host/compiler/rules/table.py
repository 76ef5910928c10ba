"""The published operator table of the X3, as data (`x3_operators.csv` beside this file)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

RENAMED = {"Upsample (replaced by Resize)": "Upsample", "Scatter (deprecated)": "Scatter"}


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator.

    Attributes:
        bpu: "yes", "no", "folded" (gone by constant folding) or "conditional".
        cpu: "yes", "not_integrated" (the vendor's runtime has none; `CPU_OPERATORS` has most) or
            "unspecified".
    """

    framework: str
    op: str
    bpu: str
    bpu_constraints: str
    cpu: str
    cpu_constraints: str


@cache
def rows() -> tuple[OperatorRow, ...]:
    """All rows of the table, in its order."""
    text = resources.files(__package__).joinpath("x3_operators.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        OperatorRow(
            row["framework"],
            RENAMED.get(row["op"], row["op"].split(" (")[0])
            if row["framework"] == "onnx"
            else row["op"],
            row["bpu_supported"],
            row["bpu_constraints"],
            row["cpu_supported"],
            row["cpu_constraints"],
        )
        for row in csv.DictReader(lines)
    )


@cache
def onnx_rows() -> MappingProxyType[str, OperatorRow]:
    """The ONNX rows by operator type."""
    return MappingProxyType({row.op: row for row in rows() if row.framework == "onnx"})
