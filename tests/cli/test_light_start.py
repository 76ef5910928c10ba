"""`--version`, `--help` and mistakes in a YAML are answered at once: nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from bpu_common import __version__
from tests.support.nets_front import classifier

COMPILER = {"onnx", "onnx_ir", "onnxruntime", "numpy", "PIL", "skimage", "scipy", "sympy", "grpc"}
SCRIPT = """
import sys
from bpu_host.cli.hb_mapper import cli
try:
    cli(sys.argv[1:], prog_name="hb_mapper")
except SystemExit:
    pass
loaded = sorted({heavy} & set(sys.modules))
sys.exit(str(loaded) if loaded else 0)
"""


def begin(folder: Path, heavy: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command; its status is 0 if it imported nothing of `heavy`."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=heavy), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


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
def test_nothing_heavy_is_imported(tmp_path: Path, arguments: list[str], expected: str) -> None:
    done = begin(tmp_path, COMPILER | {"pydantic", "yaml"}, *arguments)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_a_mistake_in_a_yaml_is_told_without_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("model_parameters:\n  onnx_modle: 'net.onnx'\n")
    arguments = ("makertbin", "--model-type", "onnx", "--config", "net.yaml")
    done = begin(tmp_path, COMPILER, *arguments)
    assert done.returncode == 0, done.stderr
    assert "net.yaml:2:3: model_parameters.onnx_modle: unknown key" in done.stdout


def test_a_model_that_is_not_there_is_told_without_the_compiler(tmp_path: Path) -> None:
    arguments = ("checker", "--model-type", "onnx", "--model", "none.onnx")
    done = begin(tmp_path, {"bpu_host.compiler.api", "skimage", "scipy"}, *arguments)
    assert done.returncode == 0, done.stderr
    assert "none.onnx: cannot read the model" in done.stdout


def test_a_conversion_computes_with_numbers(tmp_path: Path) -> None:
    """A model with an open batch is converted without sympy, scipy and skimage."""
    model = classifier(16)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "net.onnx")
    code = (
        "import sys, numpy, openbpu\n"
        "photo = numpy.arange(16 * 16 * 3, dtype=numpy.uint8).reshape(16, 16, 3)\n"
        "found = openbpu.convert('net.onnx', [photo], method='max')\n"
        "found(photo)\n"
        "late = {'sympy.core', 'scipy', 'skimage'}\n"
        "sys.exit(str(late & set(sys.modules)) if late & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_late_module_works_when_it_is_used() -> None:
    code = (
        "import sys\nimport bpu_host.compiler\nimport onnx_ir\n"
        "assert 'sympy.core' not in sys.modules\n"
        "size = onnx_ir.SymbolicDim('n') * 2 + 1\n"
        "assert 'sympy.core' in sys.modules\n"
        "print(size.evaluate({'n': 3}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "7", done.stderr
