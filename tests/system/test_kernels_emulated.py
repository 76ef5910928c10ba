"""The AVX-512 kernels where there is no AVX-512: SIMDe computes each intrinsic by other means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bpu_sim.kernels.build import FLAGS, SOURCES
from bpu_sim.kernels.library import Library, load
from bpu_sim.kernels.selftest import failure
from tests.kernels.test_networks import compare
from tests.support.nets_codes import mixed_network

pytestmark = pytest.mark.system

EMULATED = Path(__file__).parents[1] / "kernels" / "emulated.hpp"
PLAIN = ("memory", "pack", "pack_conv", "team", "frame", "magnitudes", "sets")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("kernels")
    quick = [flag for flag in FLAGS if flag != "-O3"]
    wide = ["-mavx2", "-O0", "-include", str(EMULATED)]
    for name, flags in [
        *((name, ["-O2"]) for name in PLAIN),
        ("avx2", ["-mavx2", "-O1"]),
        ("vnni", wide),
    ]:
        source, made = str(SOURCES / f"{name}.cpp"), str(folder / f"{name}.o")
        command = ["g++", *quick, *flags, "-DKERNELS_EMULATED", "-w", "-c", source, "-o", made]
        subprocess.run(command, check=True)
    target = folder / "libbpukernels.so"
    objects = [str(folder / f"{name}.o") for name in (*PLAIN, "avx2", "vnni")]
    subprocess.run(["g++", "-shared", "-o", str(target), *objects, "-lpthread"], check=True)
    found, problem = load(target)
    assert found is not None, problem
    return found


def test_every_kind_of_operation(library: Library) -> None:
    assert "vnni" in library.runs
    assert failure(library, "vnni") == ""


def test_a_network(library: Library) -> None:
    compare(mixed_network(), library, "vnni", 2, 0)
