"""The packages under test are the ones of this checkout, not of another one."""

from __future__ import annotations

from pathlib import Path

import bpu_board
import bpu_common
import bpu_host
import bpu_sim
import openbpu

ROOT = Path(__file__).parents[2]


def test_packages_come_from_this_checkout() -> None:
    for package in (bpu_common, bpu_sim, bpu_board, bpu_host, openbpu):
        assert ROOT in Path(package.__file__).parents, package.__file__
