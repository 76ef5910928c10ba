"""Which engine is chosen, and the one sentence that says so and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpu_common.engine import ENGINES, KERNEL_SETS, EngineInfo, engine_line
from bpu_common.environment import KERNELS
from bpu_common.errors import UsageError
from bpu_sim.kernels import choice
from bpu_sim.kernels.choice import choose_engine
from bpu_sim.kernels.library import UNTRIED, load
from tests.support.kernels_library import LIBRARY


@pytest.fixture(autouse=True)
def _nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KERNELS.name, raising=False)


def without_library(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(choice, "load", lambda: load(path))


def test_the_fastest_that_runs() -> None:
    found = choose_engine()
    assert found.library is not None
    assert found.about.name == LIBRARY.best
    idle = {*LIBRARY.built} - {*LIBRARY.runs} | {*LIBRARY.runs} & UNTRIED
    assert set(found.about.not_run) == idle - {LIBRARY.best}
    line = engine_line(found.about)
    assert line.startswith(f"compiled kernels ({LIBRARY.best}): the fastest that this machine has")
    assert all(name in line for name in idle)


def test_nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch, tmp_path / "none.so")
    assert engine_line(choose_engine().about) == (
        "onnxruntime: no compiled kernels: they were not compiled for this installation"
    )
    with pytest.raises(UsageError, match="they were not compiled") as caught:
        choose_engine("avx2")
    assert "bpu_sim.kernels.build" in caught.value.hint


def test_a_damaged_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "damaged.so").write_bytes(bytes(5000))
    without_library(monkeypatch, tmp_path / "damaged.so")
    assert engine_line(choose_engine().about) == (
        "onnxruntime: no compiled kernels: they cannot be loaded: the file is damaged"
    )


def test_kernels_that_fail_their_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "failure", lambda *_: "stem")
    found = choose_engine()
    assert found.library is None
    assert engine_line(found.about) == (
        f"onnxruntime: the compiled kernels ({LIBRARY.best}) fail their own test at 'stem'"
    )
    with pytest.raises(UsageError, match="fail their own test at 'stem'"):
        choose_engine(LIBRARY.best)


def test_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine("reference").about == EngineInfo("reference", "the caller asks for it")
    monkeypatch.setenv(KERNELS.name, "onnxruntime")
    assert engine_line(choose_engine(LIBRARY.best).about) == "onnxruntime: BPU_KERNELS asks for it"
    for name in LIBRARY.runs:
        monkeypatch.setenv(KERNELS.name, name)
        found = choose_engine().about
        assert (found.name, found.reason) == (name, "BPU_KERNELS asks for it")
        assert name not in found.not_run


def test_what_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(KERNEL_SETS) - set(LIBRARY.runs):
        with pytest.raises(UsageError, match="cannot be used: "):
            choose_engine(name)
    monkeypatch.setenv(KERNELS.name, "fast")
    with pytest.raises(UsageError, match="no kernels called 'fast'") as caught:
        choose_engine()
    assert caught.value.where == KERNELS.name
    assert all(name in caught.value.hint for name in ENGINES)


def test_nobody_said() -> None:
    assert engine_line(EngineInfo()) == "not said"
