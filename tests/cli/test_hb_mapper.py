"""The commands as a user types them: exit codes, lines, files, and no tracebacks."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from bpu_common import container
from bpu_host.cli.hb_mapper import cli
from tests.support.nets_front import Net, classifier
from tests.support.yaml_front import write

CONSOLE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) ")
FILE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} file: \w+\.py func: \w+ line No: \d+ ")
PRODUCTS = {
    "net_original_float_model.onnx",
    "net_optimized_float_model.onnx",
    "net_calibrated_model.onnx",
    "net_quantized_model.onnx",
    "net.bin",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory with a model and calibration samples."""
    monkeypatch.chdir(tmp_path)
    onnx.save(classifier(), tmp_path / "net.onnx")
    samples = tmp_path / "cal_f32"
    samples.mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        pixels = random.integers(0, 256, (1, 3, 16, 16)).astype(np.float32)
        pixels.tofile(samples / f"{index}.rgb")
    return tmp_path


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def convert(folder: Path, changes: dict[str, Any] | None = None) -> tuple[int, str]:
    return call("makertbin", "--model-type", "onnx", "-c", str(write(folder, changes)))


def test_makertbin(folder: Path) -> None:
    code, output = convert(folder)
    assert code == 0, output
    assert {path.name for path in (folder / "model_output").iterdir()} == PRODUCTS
    lines = output.strip().splitlines()
    ends = lines.index(next(line for line in lines if line.endswith("INFO End Model Convert")))
    assert lines[ends - 1].endswith("INFO Convert to runtime bin file successfully!")
    assert CONSOLE.match(lines[0])
    for text in (
        "There are 3 samples in the calibration data set.",
        "Run calibration model with max calibration method.",
        "Start to prepare the onnx model.",
        "Start to optimize the model.",
        "Start to calibrate the model.",
        "Start to quantize the model.",
        "Start to compile the model with march bernoulli2.",
        "ONNX model output num : 1",
    ):
        assert text in output
    assert re.search(r"net_subgraph_0: FPS=[\d.]+, latency = [\d.]+ us, DDR = \d+ bytes", output)
    assert re.search(
        r"^Node +ON +Subgraph +Type +Cosine Similarity +Threshold +In/Out", output, re.MULTILINE
    )
    assert re.search(r"^fc_reshape_output +CPU +-- +Reshape", output, re.MULTILINE)
    assert re.search(r"^HZ_PREPROCESS_FOR_data +BPU +id\(0\) .* 127\.000000 ", output, re.MULTILINE)
    assert re.search(r"^logits +0\.99\d+ ", output, re.MULTILINE)
    log = (folder / "hb_mapper_makertbin.log").read_text()
    assert FILE.match(log)
    assert "Dump config" in log


def test_the_bin_holds_what_the_tables_say(folder: Path) -> None:
    convert(folder)
    (model,) = container.load(folder / "model_output" / "net.bin")
    assert (model.name, model.march, model.machine) == ("net", "bernoulli2", "x3m")
    assert [item.tensor.name for item in model.inputs] == ["data"]
    assert [item.name for item in model.outputs] == ["logits"]
    assert len(model.bpu_parts) == 1
    assert model.facts["model_parameters.onnx_model"] == "net.onnx"
    assert str(folder) not in str(model.facts)


def test_the_same_input_gives_the_same_bytes(folder: Path) -> None:
    results = []
    for name in ("one", "two"):
        assert convert(folder, {"model_parameters.working_dir": name})[0] == 0
        results.append({path.name: path.read_bytes() for path in (folder / name).iterdir()})
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("rt", "train", "layout", "method"),
    [
        ("yuv444", "bgr", "NHWC", "kl"),
        ("rgb", "rgb", "NCHW", "default"),
        ("bgr", "rgb", "NHWC", "max"),
    ],
)
def test_input_types_and_methods(
    folder: Path, rt: str, train: str, layout: str, method: str
) -> None:
    code, output = convert(
        folder,
        {
            "input_parameters.input_type_rt": rt,
            "input_parameters.input_type_train": train,
            "input_parameters.input_layout_rt": layout,
            "calibration_parameters.calibration_type": method,
            "compiler_parameters.optimize_level": "O1",
            "compiler_parameters.compile_mode": "bandwidth",
        },
    )
    assert code == 0, output
    assert f"Run calibration model with {method} calibration method." in output
    assert ("Select " in output) == (method == "default")


def test_two_inputs_one_of_them_a_featuremap(folder: Path) -> None:
    net = Net([1, 16, 16, 1], name="gray")
    net.inputs["points"] = [1, 8, 16, 16]
    x = net.conv(net.add("Transpose", "gray", perm=[0, 3, 1, 2]), (1, 8), name="left")
    y = net.add("Add", x, net.conv("points", (8, 8), name="right"), name="both")
    onnx.save(net.model(net.conv(y, (8, 2), name="last", pads=[0] * 4)), folder / "net.onnx")
    for name, shape in (("a_f32", (16, 16, 1)), ("b_f32", (8, 16, 16))):
        (folder / name).mkdir()
        values = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
        values.tofile(folder / name / "0.bin")
    code, output = convert(
        folder,
        {
            "input_parameters.input_name": "gray;points",
            "input_parameters.input_type_train": "gray;featuremap",
            "input_parameters.input_type_rt": "gray;featuremap",
            "input_parameters.input_layout_train": "NHWC;NCHW",
            "input_parameters.norm_type": "data_mean_and_scale;no_preprocess",
            "input_parameters.mean_value": "128;None",
            "input_parameters.scale_value": "0.0078125;None",
            "calibration_parameters.cal_data_dir": "a_f32;b_f32",
            "model_parameters.output_nodes": "both; last",
        },
    )
    assert code == 0, output
    (model,) = container.load(folder / "model_output" / "net.bin")
    assert [item.tensor.name for item in model.inputs] == ["gray", "points"]
    assert len(model.outputs) == 2


def test_checker(folder: Path) -> None:
    code, output = call(
        "checker", "--model-type", "onnx", "--march", "bernoulli2", "--model", "net.onnx",
        "--input_shape", "data", "1x3x32x32", "--output", "old.log",
    )  # fmt: skip
    assert code == 0, output
    assert "input shapes {'data': [1, 3, 32, 32]}" in output
    assert "--output is deprecated" in output
    assert re.search(r"^Node +ON +Subgraph +Type$", output, re.MULTILINE)
    assert "Layer fc_reshape_output\n        the BPU has no operator Reshape" in output
    assert output.strip().endswith("End model checking....")
    made = {path.name for path in (folder / ".hb_check").iterdir()}
    assert made == {
        "original_float_model.onnx",
        "optimized_float_model.onnx",
        "calibrated_model.onnx",
        "quantized_model.onnx",
        "checker_hybrid_horizonrt.bin",
    }
    assert (folder / "hb_mapper_checker.log").exists()


def test_checker_prints_the_chapter_s_reason(folder: Path) -> None:
    net = Net([1, 3, 16, 16])
    x = net.conv("data", (3, 128), 1, name="Convolution1")
    x = net.conv(x, (128, 128), 9, name="Convolution2", group=2)
    onnx.save(net.model(net.conv(x, (128, 8), name="Convolution3")), folder / "net.onnx")
    code, output = call("checker", "--model-type", "onnx", "--model", "net.onnx")
    assert code == 0, output
    assert (
        "Layer Convolution2\n        Expected data shape range of Kernel shape is "
        "[[1, 2048],[1, 7],[1, 7],[1, 2048]], but the data shape is [64,9,9,64]"
    ) in output
    assert re.search(r"^Convolution1 +BPU +id\(0\) +HzSQuantizedConv$", output, re.MULTILINE)
    assert re.search(r"^Convolution2 +CPU +-- +Conv$", output, re.MULTILINE)
    assert re.search(r"^Convolution3 +BPU +id\(1\) +HzSQuantizedConv$", output, re.MULTILINE)


def no_convolution(folder: Path) -> None:
    net = Net([1, 3, 16, 16])
    onnx.save(net.model(net.add("Abs", net.add("Neg", "data"))), folder / "net.onnx")


@pytest.mark.parametrize(
    ("changes", "prepare", "expected"),
    [
        ({"model_parameters.onnx_model": "absent.onnx"}, None, "cannot read the model"),
        ({"calibration_parameters.cal_data_dir": "absent"}, None, "is not a folder"),
        ({"input_parameters.input_shape": "1x3x15x16"}, None, "even sizes"),
        ({"input_parameters.input_shape": "1x3x32x32"}, None, "holds 3072 bytes"),
        ({"calibration_parameters.run_on_cpu": "nothing"}, None, "run_on_cpu names 'nothing'"),
        ({"model_parameters.output_nodes": "nothing"}, None, "output_nodes names 'nothing'"),
        ({}, no_convolution, "no node of the model can be quantized"),
        (
            {},
            lambda folder: (folder / "net.onnx").write_bytes(b"nonsense"),
            "not an ONNX model",
        ),
        (
            {},
            lambda folder: (folder / "model_output").write_text("in the way"),
            "cannot write into the output folder",
        ),
    ],
)
def test_failures_leave_nothing_behind(
    folder: Path, changes: dict[str, Any], prepare: Any, expected: str
) -> None:
    if prepare is not None:
        prepare(folder)
    code, output = convert(folder, changes)
    assert code != 0
    assert expected in output
    assert output.strip().endswith("ERROR exception in command: makertbin")
    target = folder / "model_output"
    assert not target.is_dir() or not list(target.iterdir())


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "key",
    ["calibration_parameters.run_on_cpu", "calibration_parameters.run_on_bpu",
     "model_parameters.output_nodes"],
)  # fmt: skip
def test_all_unknown_nodes_are_named_at_once(folder: Path, key: str, count: int) -> None:
    names = [f"nothing_{index}" for index in range(count)]
    code, output = convert(folder, {key: ";".join(names)})
    assert code == 1
    (line,) = (line for line in output.splitlines() if "nothing_" in line)
    assert all(f"'{name}'" in line for name in names)
    assert re.search(r"\.yaml:\d+:\d+: ", line), "the place of the list"


def test_without_bpu_nodes_the_reasons_are_given(folder: Path) -> None:
    no_convolution(folder)
    code, output = call("checker", "--model-type", "onnx", "--model", "net.onnx")
    assert code == 1
    assert "neg0: the BPU has no operator Neg; abs1: the BPU has no operator Abs" in output


def test_not_enough_memory_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: object) -> None:
        raise MemoryError("Unable to allocate 12.0 TiB")

    monkeypatch.setattr("bpu_host.cli.mapper_commands.make", allocate)
    code, output = convert(folder)
    assert code == 1
    assert "not enough memory on this computer: Unable to allocate 12.0 TiB" in output


def test_libraries_speak_to_the_log_file_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complain(*_: object) -> None:
        logging.getLogger("onnx_ir.passes").warning("Model is left unchanged")

    monkeypatch.setattr("bpu_host.cli.mapper_commands.make", complain)
    assert "left unchanged" not in convert(folder)[1]
    assert "left unchanged" in (folder / "hb_mapper_makertbin.log").read_text()


def test_onnxruntime_says_nothing_on_the_console(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The form is old enough that its kernel warns of it."""
    net = Net([1, 3, 8, 8])
    scales = net.constant([1.0, 1.0, 2.0, 2.0])
    roi = net.constant(np.zeros(0, np.float32))
    mode = {"coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    x = net.add("Resize", net.conv("data", (3, 4)), roi, scales, mode="nearest", **mode)
    onnx.save(net.model(net.conv(x, (4, 4)), opset=11), folder / "net.onnx")
    arguments = ("--model-type", "onnx", "--march", "bernoulli2", "--model", "net.onnx")
    assert call("checker", *arguments)[0] == 0
    assert capfd.readouterr().err == ""


def test_a_full_disk_under_the_log_file_costs_the_log_only(folder: Path) -> None:
    (folder / "hb_mapper_makertbin.log").symlink_to("/dev/full")
    code, output = convert(folder)
    assert code == 0, output
    assert output.count("the log file is not complete: No space left on device") == 1
    assert "Logging error" not in output


def test_a_failure_keeps_older_products(folder: Path) -> None:
    assert convert(folder)[0] == 0
    before = {path: path.read_bytes() for path in (folder / "model_output").iterdir()}
    assert convert(folder, {"calibration_parameters.cal_data_dir": "absent"})[0] != 0
    assert {path: path.read_bytes() for path in (folder / "model_output").iterdir()} == before


def test_vendor_form_of_missing_keys(folder: Path) -> None:
    path = write(folder)
    path.write_text(path.read_text().replace("  onnx_model: net.onnx\n", ""))
    code, output = call("makertbin", "--model-type", "onnx", "--config", str(path))
    assert code == 2
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if "Key 'model_parameters' error:" in line)
    assert CONSOLE.match(lines[start])
    assert lines[start + 1].startswith("Missing keys: 'onnx_model'")
    assert "model_parameters.onnx_model: the float model, an ONNX file" in lines[start + 2]
    assert lines[start + 3].endswith("ERROR yaml file parse failed. Please double check your input")
    assert lines[start + 4].endswith("ERROR exception in command: makertbin")


def test_bad_command_lines(folder: Path) -> None:
    assert call("makertbin", "--model-type", "onnx")[0] == 2
    assert call("checker", "--model-type", "tflite", "--model", "net.onnx")[0] == 2
    code, output = call(
        "checker", "--model-type", "onnx", "--model", "net.onnx", "--input-shape", "data", "1xH"
    )
    assert (code, "'1xH' is not a shape" in output) == (2, True)
    code, output = call(
        "checker", "--model-type", "onnx", "--model", "net.onnx", "--input-shape", "x", "1x3"
    )
    assert (code, "which is no input of the model" in output) == (2, True)


@pytest.mark.parametrize("command", ["checker", "makertbin", "caldata", ""])
def test_help_fits_eighty_columns(command: str) -> None:
    result = CliRunner().invoke(cli, [*command.split(), "--help"], terminal_width=None)
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_log_file_names_who_told_a_line(folder: Path) -> None:
    assert convert(folder)[0] == 0
    lines = (folder / "hb_mapper_makertbin.log").read_text().splitlines()
    by = {
        line.split(" message")[0].split("file: ")[1].split()[0]
        for line in lines
        if "file: " in line
    }
    assert {"api.py", "mapper_commands.py"} <= by
    told = [line for line in lines if "Start to " in line or "ONNX IR version" in line]
    assert told
    assert all("file: api.py" in line for line in told)


def test_checker_says_which_option_gives_a_shape(folder: Path) -> None:
    net = Net([1, 3, "h", "w"])
    onnx.save(net.model(net.conv("data", (3, 4))), folder / "net.onnx")
    code, output = call("checker", "--model-type", "onnx", "--model", "net.onnx")
    assert code == 2
    assert "ERROR --input-shape: input 'data' has the dynamic shape 1x3xhxw" in output
    assert "--input-shape data 1x3x224x224" in output
    assert "Input(shape=(1, 3, 224, 224)) in Python" in output
    assert "input_parameters" not in output


def test_a_console_without_the_letters_shows_escapes(folder: Path) -> None:
    (folder / "net.yaml").write_text('{"a\\ud83d\\ude00": 1}')
    command = [sys.executable, "-m", "bpu_host.cli.hb_mapper", "makertbin"]
    done = subprocess.run(
        [*command, "--model-type", "onnx", "-c", "net.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 2
    assert "Logging error" not in done.stderr
    assert "a\\U0001f600: unknown group" in done.stdout
