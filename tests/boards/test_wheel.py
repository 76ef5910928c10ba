"""The wheel that is made without a source tree, and the choice of wheels for a board."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib

from bpu_common import __version__
from bpu_host.boards import bundle, wheel
from bpu_host.boards.probe import Facts
from bpu_sim.kernels.library import library_file

PROJECT = Path(__file__).parents[2] / "board" / "pyproject.toml"


def facts(machine: str = "aarch64", libc: tuple[int, int] = (2, 31)) -> Facts:
    return Facts("/usr/bin/python3", (3, 10), machine, libc, 1 << 33, "/opt/openbpu", "")


def test_the_same_packages_give_the_same_bytes() -> None:
    code = "from bpu_host.boards.wheel import board_wheel; print(board_wheel('x86_64').digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(digests) == 1


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_content(machine: str) -> None:
    made = wheel.board_wheel(machine)
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    info = f"openbpu_board-{__version__}.dist-info"
    assert {name.split("/")[0] for name in files} == {*wheel.PACKAGES, info}
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]
    assert "bpu_board/cli/supervise.py" in files
    kernels = {name for name in files if name.endswith(".so")}
    here = library_file(machine)
    assert kernels == ({f"bpu_sim/kernels/{here.name}"} if here.exists() else set())
    assert (f"linux_{machine}" in made.name) == made.kernels == bool(kernels)
    assert not [name for name in files if name.endswith((".cpp", ".hpp"))]
    listed = {}
    for line in files[f"{info}/RECORD"].decode().splitlines():
        name, digest, size = line.rsplit(",", 2)
        listed[name] = (digest, size)
    assert set(listed) == set(files)
    for name, data in files.items():
        if not name.endswith("RECORD"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert listed[name] == (f"sha256={digest}", str(len(data)))


def test_it_says_what_the_source_tree_says() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert list(wheel.REQUIREMENTS) == project["dependencies"]
    assert project["scripts"] == wheel.SCRIPTS
    assert project["requires-python"] == f">={wheel.PYTHON[0]}.{wheel.PYTHON[1]}"
    assert project["version"] == __version__


def test_platform_tags() -> None:
    tags = bundle.platforms(facts())
    assert tags[0] == "manylinux_2_31_aarch64"
    assert "manylinux_2_17_aarch64" in tags
    assert "manylinux2014_aarch64" in tags
    assert not [tag for tag in tags if "_2_32_" in tag or "x86" in tag]
    assert "manylinux1_x86_64" in bundle.platforms(facts("x86_64", (2, 36)))


def test_a_bundle_is_fetched_once(monkeypatch) -> None:
    asked = []

    def download(_facts: Facts, folder: Path) -> None:
        asked.append(folder)
        (folder / "pip-1-py3-none-any.whl").write_bytes(b"wheel")

    monkeypatch.setattr(bundle, "_download", download)
    (first,) = bundle.fetch_bundle(facts())
    (again,) = bundle.fetch_bundle(facts())
    assert (first, len(asked)) == (again, 1)
    bundle.fetch_bundle(facts("x86_64"))
    assert len(asked) == 2
