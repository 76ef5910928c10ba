"""`--version` and `--help` answer at once: nothing heavy is imported for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bpu_common import __version__

SCRIPT = """
import sys
from bpu_host.cli.hb_mapper import cli
try:
    cli(sys.argv[1:], prog_name="hb_mapper")
except SystemExit:
    pass
heavy = {"onnx", "onnx_ir", "onnxruntime", "numpy", "pydantic", "PIL", "yaml", "skimage", "grpc"}
sys.exit(f"loaded {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--version"], f"hb_mapper (OpenBPU) {__version__}\n"),
        (["--help"], "makertbin"),
        (["checker", "--help"], "Example"),
        (["makertbin", "--help"], "Example"),
        (["caldata", "--help"], "Example"),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
