"""Compiling the kernels, or saying in one line why they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bpu_common.environment import WHEEL
from bpu_sim.kernels import wheels
from bpu_sim.kernels.build import UNITS, BuildError, build
from bpu_sim.kernels.library import library_file, seal


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m bpu_sim.kernels.build` where there is no compiler."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    command = [sys.executable, "-m", "bpu_sim.kernels.build", "--output", str(folder / "k.so")]
    return subprocess.run(
        [*command, *words],
        env=environment | {"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("words", "status"), [((), 1), (("--optional",), 0)])
def test_without_a_compiler(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    """What `make setup` does there: it says so and goes on."""
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == (
        "int8 kernels are not compiled: no C++ compiler (g++, clang++); the onnxruntime engine is "
        "used instead, slower, with the same bits\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'x.cpp:1: error: no' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BuildError, match="error: no"):
        build("aarch64", tmp_path / "k.so")


@pytest.mark.parametrize("knows", [True, False])
def test_a_compiler_that_does_not_know_avx_vnni(
    knows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other sets are built all the same."""
    compiler, asked = tmp_path / "c++", tmp_path / "asked"
    compiler.write_text(
        f'#!/bin/sh\necho "$*" >> {asked}\n'
        f'case "$*" in *mavxvnni*) {"true" if knows else "exit 1"};; esac\n'
        'while [ $# -gt 0 ]; do [ "$1" = -o ] && : > "$2"; shift; done\nexit 0\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    build("x86_64", tmp_path / "k.so")
    assert (tmp_path / "k.so").read_bytes() == seal(b"")
    compiled = [line for line in asked.read_text().splitlines() if " -c " in line]
    assert len(compiled) == len(UNITS["x86_64"]) - (not knows)
    assert any("-DKERNELS_AVXVNNI" in line for line in compiled) == knows


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && : > "$2"; shift; done\nexit 0\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BuildError, match="cannot be written"):
        build("x86_64", compiler / "k.so")


def test_a_machine_without_kernels(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no kernels for riscv64"):
        build("riscv64", tmp_path / "k.so")


def test_another_machine_wants_another_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(BuildError, match="use --cross"):
        build("aarch64", tmp_path / "k.so")


def test_a_wheel_of_a_source_install_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert wheels.compiled(tmp_path) == wheels.Content((), "py3-none-any")
    assert capsys.readouterr().err.startswith("int8 kernels are not compiled: no C++ compiler")


@pytest.mark.parametrize("machine", sorted(UNITS))
def test_a_wheel_of_a_release(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WHEEL.name, raising=False)
    assert wheels.released(tmp_path, every_machine=True) is None
    monkeypatch.setenv(WHEEL.name, machine)
    with pytest.raises(BuildError, match="make wheels"):
        wheels.released(tmp_path, every_machine=False)
    folder = tmp_path / "build" / "kernels"
    folder.mkdir(parents=True)
    for each in UNITS:
        (folder / library_file(each).name).write_bytes(b"kernels")
    host, board = (wheels.released(tmp_path, every_machine=every) for every in (True, False))
    assert host is not None
    assert board is not None
    assert host.tag == board.tag == f"py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}"
    assert [path.name for path in board.libraries] == [library_file(machine).name]
    build_data: dict[str, object] = {"force_include": {}}
    host.enter(build_data)
    assert build_data["pure_python"] is False
    assert build_data["force_include"] == {
        str(path): f"bpu_sim/kernels/{path.name}" for path in host.libraries
    }
    assert len(host.libraries) == len(UNITS)
