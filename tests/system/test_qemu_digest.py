"""The same bits on an AVX2-only x86 CPU and on an ARM CPU (both emulated) as here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.kernels_runs import record_tests

pytestmark = pytest.mark.system


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "qemu_digest", Path(__file__).with_name("qemu_digest.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("network")
    return folder, script.build_network(folder)


def test_this_cpu(network: tuple[Path, dict[str, str]]) -> None:
    folder, wanted = network
    assert script.digests(folder) == wanted


def test_haswell(network: tuple[Path, dict[str, str]]) -> None:
    folder, wanted = network
    assert script.on_haswell(folder) == wanted


def test_arm(network: tuple[Path, dict[str, str]]) -> None:
    folder, wanted = network
    assert script.on_arm(folder, script.default_cache()) == wanted


def test_kernels_of_haswell(network: tuple[Path, dict[str, str]]) -> None:
    folder, wanted = network
    assert script.kernels_on_haswell(folder) == {"avx2": wanted["engine"]}


@pytest.mark.parametrize(
    ("cpu", "sets"), [("cortex-a53", ["neon"]), ("cortex-a76", ["dot", "neon"])]
)
def test_kernels_of_arm(cpu: str, sets: list[str], network: tuple[Path, dict[str, str]]) -> None:
    folder, wanted = network
    found = script.kernels_on_arm(folder, script.default_cache(), cpu)
    assert found == dict.fromkeys(sets, wanted["engine"])


CASES = 600
"""Of those that the tests of the kernels make; the emulator needs a quarter of a second for one."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases that this machine's kernels passed; their names order them at random."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "cases").mkdir()
    record_tests(folder / "cases")
    every = sorted((folder / "cases").iterdir())
    assert len(every) > CASES
    for path in every[CASES:]:
        path.unlink()
    return folder


def test_recorded_cases_on_haswell(recorded: Path) -> None:
    found = script.kernels_on_haswell(recorded, "--replay")
    assert found == {"avx2": f"{CASES} equal"}


@pytest.mark.parametrize(
    ("cpu", "sets"), [("cortex-a53", ["neon"]), ("cortex-a76", ["dot", "neon"])]
)
def test_recorded_cases_on_arm(cpu: str, sets: list[str], recorded: Path) -> None:
    found = script.kernels_on_arm(recorded, script.default_cache(), cpu, "--replay")
    assert found == dict.fromkeys(sets, f"{CASES} equal")
