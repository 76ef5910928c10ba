"""A library of kernels that cannot be loaded is none; it never ends the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpu_sim.kernels.library import library_file, load
from tests.support.kernels_library import LIBRARY


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_library_that_is_cut_off(tmp_path: Path, share: float) -> None:
    content = library_file().read_bytes()
    path = tmp_path / "kernels.so"
    path.write_bytes(content[: int(len(content) * share)])
    library, reason = load(path)
    assert library is None
    assert reason.startswith("they cannot be loaded: ")


def test_the_whole_library(tmp_path: Path) -> None:
    path = tmp_path / "kernels.so"
    path.write_bytes(library_file().read_bytes())
    library, _ = load(path)
    assert library is not None
    assert library.built == LIBRARY.built
