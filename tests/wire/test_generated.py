"""The checked-in protobuf code is what the generator makes of the .proto files now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tomllib

import bpu_common

ROOT = Path(__file__).parents[2]


def test_generated_code_is_fresh() -> None:
    """Fails, never skips: without the generator's environment nobody knows whether it is fresh."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "proto" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\n"
        "run `make proto` and commit what it writes (it needs to install grpcio-tools once)"
    )


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project.get("version", bpu_common.__version__) == bpu_common.__version__
