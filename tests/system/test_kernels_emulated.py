"""The kernels for AVX-512 and AVX-VNNI where there is neither: SIMDe computes each intrinsic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bpu_sim.kernels.build import FLAGS, UNITS, Tools, Unit, compile_units
from bpu_sim.kernels.library import Library, load
from bpu_sim.kernels.selftest import failure
from tests.kernels.test_networks import compare
from tests.support.kernels_runs import run_tests
from tests.support.nets_codes import mixed_network

pytestmark = pytest.mark.system

EMULATED = Path(__file__).parents[1] / "kernels" / "emulated.hpp"
SETS = ("vnni", "avxvnni")
HERE = ("-mavx2", "-include", str(EMULATED))
FLAGS_OF = {
    "vnni": (*HERE, "-O0"),  # more would take minutes
    "avxvnni": (*HERE, "-O1", "-D__AVXVNNI__"),
}


def emulated(unit: Unit) -> Unit:
    """As this machine can run it, quickly compiled."""
    flags = FLAGS_OF.get(unit.object, (*unit.flags, "-O1"))
    return replace(unit, flags=flags, defines=(*unit.defines, "-DKERNELS_EMULATED"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("kernels") / "libbpukernels.so"
    tools = Tools(("g++",), ("g++",))
    flags = [*(flag for flag in FLAGS if flag != "-O3"), "-w"]
    units = [emulated(unit) for unit in UNITS["x86_64"]]
    compile_units(units, tools, target, flags, ("-shared",))
    return target


@pytest.fixture(scope="module")
def library(path: Path) -> Library:
    found, problem = load(path)
    assert found is not None, problem
    return found


@pytest.mark.parametrize("set_name", SETS)
def test_every_kind_of_operation(library: Library, set_name: str) -> None:
    assert set_name in library.runs
    assert failure(library, set_name) == ""


@pytest.mark.parametrize("set_name", SETS)
def test_a_network(library: Library, set_name: str) -> None:
    compare(mixed_network(), library, set_name, 2, 0)


def test_every_operation_and_its_extremes(path: Path) -> None:
    """The tests of the kernels, with the emulated sets among those that run."""
    run_tests(path)
