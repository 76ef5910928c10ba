"""The board wheel alone, in a new environment: it works there, and the compiler is not in it."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from bpu_common import __version__, container
from tests.support.models_board import tiny_model

pytestmark = pytest.mark.system  # pip installs the wheel's dependencies from the package index

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory) -> Path:
    """Folder of the commands of an environment that holds nothing but the wheel."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel], check=True, timeout=600)
    return folder / "bin"


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT / "board"]
    subprocess.run(command, check=True, timeout=600, capture_output=True)


def python(scripts: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [scripts / "python", "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_content(wheel):
    assert wheel.name == f"openbpu_board-{__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < 500_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "bpu_board",
        "bpu_common",
        "bpu_sim",
        f"openbpu_board-{__version__}.dist-info",
    }
    assert not [name for name in names if name.endswith((".pyc", ".so"))]


def test_imports(scripts):
    good = python(scripts, "import bpu_board.runtime, bpu_board.agent.server, bpu_sim.engines")
    assert good.returncode == 0, good.stderr
    for name in ("bpu_host", "onnx", "PIL"):
        assert "ModuleNotFoundError" in python(scripts, f"import {name}").stderr


@pytest.mark.parametrize("command", ["hrt_model_exec", "bpu-agent"])
def test_help(scripts, command):
    done = subprocess.run([scripts / command, "--help"], capture_output=True, text=True, check=True)
    assert "sage:" in done.stdout
    assert done.stderr == ""


def test_a_model_is_measured_and_inferred(scripts, tmp_path):
    (tmp_path / "m.bin").write_bytes(container.dump([tiny_model()]))
    (tmp_path / "in.bin").write_bytes(bytes(8 * 16 * 3))
    for words in (["perf"], ["infer", "--input_file=in.bin", "--exact"], ["model_info"]):
        done = subprocess.run(
            [scripts / "hrt_model_exec", *words, "--model_file=m.bin"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_agent_serves(scripts, tmp_path):
    """It answers on its socket and stops on SIGTERM."""
    agent = subprocess.Popen(
        [scripts / "bpu-agent", "--listen", f"unix:{tmp_path}/s", "--store", tmp_path / "store"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert agent.stdout is not None
    try:
        assert agent.stdout.readline().startswith("bpu-agent: simulated x3m")
        code = (
            "import grpc; from grpc_health.v1 import health_pb2 as m, health_pb2_grpc as g;"
            f"c = grpc.insecure_channel('unix:{tmp_path}/s');"
            "print(g.HealthStub(c).Check(m.HealthCheckRequest(), timeout=30).status)"
        )
        assert python(scripts, code).stdout.strip() == "1"
    finally:
        agent.terminate()
        deadline = time.monotonic() + 30
        while agent.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        agent.kill()
    assert agent.returncode == 0
