"""The release's wheels: kernels for both machines from one, used where there is no compiler."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bpu_common import __version__
from bpu_common.environment import WHEEL
from bpu_sim.kernels.build import UNITS
from bpu_sim.kernels.library import library_file
from tests.support.kernels_library import LIBRARY
from tests.support.kernels_runs import ROOT
from tests.system import qemu_digest

pytestmark = pytest.mark.system  # ziglang and what the wheels require come from the package index

MACHINES = sorted(UNITS)
ENGINE = (
    "import json\n"
    "from bpu_sim.kernels.choice import choose_engine\n"
    "about = choose_engine().about\n"
    "print(json.dumps([about.name, about.reason]))\n"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, as a checkout has them."""
    folder = tmp_path_factory.mktemp("tree")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheels(tree: Path) -> dict[str, Path]:
    """By name up to the version and by machine, as `make wheels` makes them."""
    (tree / ".venv").mkdir()
    for stamp in (".installed", ".kernels"):
        (tree / ".venv" / stamp).touch()
    command = ["make", "wheels", f"PY={sys.executable}"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made = {}
    for path in (tree / "dist").glob("*.whl"):
        name, version, _, _, tag = path.stem.split("-")
        machine = next(each for each in MACHINES if tag.endswith(each))
        assert version == __version__
        assert tag == f"manylinux_2_17_{machine}.manylinux2014_{machine}"
        made[f"{name}-{machine}"] = path
    return made


def python_of(wheel: Path, folder: Path, *words: str) -> Path:
    """The interpreter of a new environment with the wheel and what it requires."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *words, wheel]
    subprocess.run(command, check=True, env=without_compiler(folder), timeout=900)
    return python


def without_compiler(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    return kept | {"PATH": str(folder / "bin")}


def ask(python: Path) -> list[str]:
    command = [python, "-I", "-c", ENGINE]
    env = without_compiler(python.parent.parent)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def libraries(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    return {name for name in names if name.endswith(".so")}


def test_what_is_in_them(wheels: dict[str, Path]) -> None:
    """A host has the kernels of every board, a board its own."""
    places = {each: f"bpu_sim/kernels/{library_file(each).name}" for each in MACHINES}
    assert len(wheels) == 2 * len(MACHINES)
    for machine in MACHINES:
        assert libraries(wheels[f"openbpu-{machine}"]) == set(places.values())
        assert libraries(wheels[f"openbpu_board-{machine}"]) == {places[machine]}


@pytest.mark.parametrize("project", ["openbpu", "openbpu_board"])
def test_installed_where_there_is_no_compiler(
    project: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    python = python_of(wheels[f"{project}-{platform.machine()}"], tmp_path / "env")
    name, reason = ask(python)
    assert (name, reason) == (LIBRARY.best, "the fastest that this machine has")


def test_an_installed_host_gives_boards_their_kernels(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    python = python_of(wheels[f"openbpu-{platform.machine()}"], tmp_path / "env")
    code = (
        "from bpu_host.boards.wheel import board_wheel\n"
        "print(*[board_wheel(m).name for m in ('aarch64', 'riscv64', 'x86_64')])\n"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    tags = [name.removesuffix(".whl").split("-")[-1] for name in done.stdout.split()]
    assert tags == ["linux_aarch64", "any", "linux_x86_64"]


@pytest.mark.parametrize(("cpu", "name"), [("cortex-a53", "neon"), ("cortex-a76", "dot")])
def test_the_wheel_of_an_arm_board(
    cpu: str, name: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    """What zig built, on an emulated processor."""
    with zipfile.ZipFile(wheels["openbpu_board-aarch64"]) as archive:
        archive.extractall(tmp_path)
    root, version = qemu_digest.arm_root(qemu_digest.default_cache())
    python = str(root / f"usr/bin/python{version}")
    command = [qemu_digest.emulator("qemu-aarch64-static"), "-L", str(root), "-cpu", cpu, python]
    env = {
        "PYTHONPATH": f"{root / 'site'}:{tmp_path}",
        "PYTHONHOME": str(root / "usr"),
        "HOME": str(root),
    }
    said = qemu_digest.run([*command, "-c", ENGINE], "asking for the engine", env)
    assert json.loads(said) == [name, "the fastest that this machine has"]


def test_from_source_with_a_compiler(tree: Path, tmp_path: Path) -> None:
    """`pip install .` takes the system's; an sdist has all that it needs."""
    wheel = built(tree, tmp_path, os.environ.copy())
    assert wheel.stem.endswith(f"py3-none-linux_{platform.machine()}")
    python = python_of(wheel, tmp_path / "env", "--no-deps")
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy", "protobuf"], check=True)
    assert ask(python) == [LIBRARY.best, "the fastest that this machine has"]


def test_from_source_without_a_compiler(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "git")
    wheel = built(tree, tmp_path, without_compiler(tmp_path))
    assert wheel.stem.endswith("py3-none-any")
    assert libraries(wheel) == set()
    python = python_of(wheel, tmp_path / "env", "--no-deps")
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy", "protobuf"], check=True)
    name, reason = ask(python)
    assert name == "onnxruntime"
    assert reason.startswith("no compiled kernels: they were not compiled")


def built(tree: Path, folder: Path, environment: dict[str, str]) -> Path:
    """The host's wheel, made from an sdist."""
    environment.pop(WHEEL.name, None)
    out = folder / "dist"
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (wheel,) = out.glob("*.whl")
    return wheel
