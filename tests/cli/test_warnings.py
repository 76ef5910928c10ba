"""What is worth a warning reaches whoever converts, once; what stays on the CPU is explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from bpu_common.tensor import DType, InputType, Layout
from bpu_host.cli.hb_mapper import cli
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from tests.support.nets_front import Net
from tests.support.yaml_front import write


def test_odd_samples_are_findings(tmp_path: Path) -> None:
    """What is odd about them, and a tensor that is zero for all of them."""
    net = Net([1, 3, 8, 8])
    zero = net.constant(np.zeros((4, 3, 1, 1), np.float32))
    x = net.add("Relu", net.add("Conv", "data", zero, name="dead"), name="still")
    onnx.save(net.model(net.conv(x, (4, 4), name="last")), tmp_path / "net.onnx")
    folder = tmp_path / "cal"
    folder.mkdir()
    for index in range(2):
        np.full((1, 3, 8, 8), 0.5, np.float32).tofile(folder / f"{index}.rgb")
    item = InputConfig(
        "data",
        (1, 3, 8, 8),
        InputType.RGB,
        Layout.NCHW,
        InputType.RGB,
        Layout.NHWC,
        cal_data_dir=folder,
        cal_data_type=DType.FLOAT32,
    )
    config = CompileConfig(
        tmp_path / "net.onnx",
        "net",
        tmp_path / "out",
        (item,),
        calibration_method=CalibrationMethod.MAX,
    )
    compiled = compile_model(config)
    assert [finding.subject for finding in compiled.findings[:3]] == [str(folder)] * 3
    expected = ("1 different sample", "1.rgb is 0.rgb", "within 0..1", "no sample left zero")
    for finding, words in zip(compiled.findings, expected, strict=True):
        assert words in finding.sentence
    assert compiled.findings[3].subject == "tensor HZ_PREPROCESS_FOR_data_output, still_out"


def odd_conversion(folder: Path, *flags: str) -> tuple[int, list[str], set[str]]:
    """Exit status, lines and products of a conversion with one flat sample."""
    net = Net([1, 3, 16, 16])
    onnx.save(net.model(net.conv("data", (3, 8), name="first")), folder / "net.onnx")
    (folder / "cal_f32").mkdir(exist_ok=True)
    (folder / "cal_f32" / "0.rgb").write_bytes(bytes(4 * 3 * 16 * 16))
    arguments = ["makertbin", "--model-type", "onnx", "-c", str(write(folder)), *flags]
    done = CliRunner().invoke(cli, arguments)
    target = folder / "model_output"
    made = {path.name for path in target.iterdir()} if target.is_dir() else set()
    return done.exit_code, done.output.strip().splitlines(), made


def test_findings_are_the_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, lines, made = odd_conversion(tmp_path)
    assert code == 0
    assert "net.bin" in made
    start = next(i for i, line in enumerate(lines) if "about this conversion" in line)
    assert "successfully!" in lines[start - 2]
    assert lines[start - 1].endswith("End Model Convert")
    assert all(" WARNING " in line for line in lines[start:])
    assert f"{len(lines) - start - 1} warnings about this conversion" in lines[start]
    assert any("1 different sample;" in line for line in lines[start:])
    assert any("1 of 1 pictures (0.rgb first) have a single colour" in line for line in lines)


def test_strict_takes_findings_for_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, lines, made = odd_conversion(tmp_path, "--strict")
    assert code == 1
    assert made == set()
    errors = [line for line in lines if " ERROR " in line]
    assert "nothing was written" in errors[0]
    assert any("have a single colour" in line for line in errors)
    assert lines[-1].endswith("exception in command: makertbin")


def test_strict_leaves_an_earlier_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert odd_conversion(tmp_path)[0] == 0
    target = tmp_path / "model_output"
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    assert odd_conversion(tmp_path, "--strict")[0] == 1
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


@pytest.mark.parametrize("strict", [False, True])
def test_the_checker_ends_with_its_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    """Those that need no samples; the table is printed whatever is found."""
    monkeypatch.chdir(tmp_path)
    net = Net([1, 3, 16, 16])
    onnx.save(net.model(net.add("Hardmax", net.conv("data", (3, 8)), name="hard")), "net.onnx")
    arguments = ["checker", "--model-type", "onnx", "--model", "net.onnx", "--json"]
    done = CliRunner().invoke(cli, [*arguments, *(["--strict"] if strict else [])])
    assert done.exit_code == (1 if strict else 0), done.output
    (finding,) = json.loads(done.stdout)["findings"]
    assert "hard" in finding["subject"]
    lines = done.stderr.strip().splitlines()
    end = next(i for i, line in enumerate(lines) if line.endswith("End model checking...."))
    words = [line.split(" ", 2)[2] for line in lines[end + 1 :]]
    told = f"{finding['subject']}: {finding['sentence']}; {finding['hint']}"
    if strict:
        assert words[0] == "ERROR 1 warning about the conversion, and strict allows none"
        assert words[2:] == [f"ERROR {told}", "ERROR exception in command: checker"]
    else:
        assert words[0] == "WARNING 1 warning about this conversion (errors with --strict):"
        assert words[1:] == [f"WARNING {told}"]


def test_makertbin_says_why_nodes_stay_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = Net([1, 3, 16, 16])
    x = net.conv("data", (3, 8), name="first")
    for index in range(7):
        x = net.add("Acos", x, name=f"acos{index}")
    x = net.add("Asin", x, name="asin")
    onnx.save(net.model(x), tmp_path / "net.onnx")
    (tmp_path / "cal_f32").mkdir()
    (tmp_path / "cal_f32" / "0.rgb").write_bytes(bytes(4 * 3 * 16 * 16))
    arguments = ["makertbin", "--model-type", "onnx", "-c", str(write(tmp_path))]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    start = next(i for i, line in enumerate(lines) if "These nodes run on the CPU:" in line)
    assert lines[start + 1 : start + 3] == [
        "acos0, acos1, acos2, acos3, acos4 and 2 more: the BPU has no operator Acos",
        "asin: the BPU has no operator Asin",
    ]
