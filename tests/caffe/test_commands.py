"""The commands on a Caffe model, and its ONNX twin beside it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import openbpu
from bpu_common import container
from bpu_host.cli.hb_mapper import cli
from tests.caffe.test_forms import BODY, HEADS, SHAPE, weights
from tests.support import caffe_nets as nets
from tests.support.yaml_front import DELETE, write

M = "model_parameters."
CAFFE = {
    M + "onnx_model": DELETE,
    M + "prototxt": "net.prototxt",
    M + "caffe_model": "net.caffemodel",
}
FEATUREMAP = {
    "input_parameters.input_type_train": "featuremap",
    "input_parameters.input_type_rt": "featuremap",
    "input_parameters.norm_type": "no_preprocess",
}
CHECKER = (
    "checker",
    "--model-type",
    "caffe",
    "--proto",
    "net.prototxt",
    "--model",
    "net.caffemodel",
)
CHAPTER = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape: { dim: 1 dim: 3 dim: 24 dim: 24 } } }
layer { name: "Convolution1" type: "Convolution" bottom: "data" top: "Convolution1"
        convolution_param { num_output: 16 bias_term: false pad: 0 kernel_size: 1 group: 1 stride: 1
                            weight_filler { type: "msra" } } }
layer { name: "Convolution2" type: "Convolution" bottom: "Convolution1" top: "Convolution2"
        convolution_param { num_output: 16 bias_term: false pad: 4 kernel_size: 9 group: 1 stride: 1
                            weight_filler { type: "msra" } } }
layer { name: "Convolution3" type: "Convolution" bottom: "Convolution2" top: "Convolution3"
        convolution_param { num_output: 16 bias_term: false pad: 1 kernel_size: 3 group: 1 stride: 1
                            weight_filler { type: "msra" } } }
"""  # the chapter's own example, with fewer channels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a Caffe model, its ONNX twin, samples."""
    monkeypatch.chdir(tmp_path)
    nets.write(tmp_path, 'name: "small"\n' + HEADS["input_dim"] + BODY, weights())
    onnx.save(twin(), tmp_path / "net.onnx")
    (tmp_path / "cal_f32").mkdir()
    for index in range(3):
        pixels = np.abs(nets.noise({"data": SHAPE}, index)["data"]) * 60
        pixels.tofile(tmp_path / "cal_f32" / f"{index}.bin")
    return tmp_path


def twin() -> onnx.ModelProto:
    """What the prototxt says, written by hand in ONNX."""
    conv, dense = weights()["conv"], weights()["ip"]
    nodes = [
        helper.make_node("Conv", ["data", "w", "b"], ["c"], "conv", strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Flatten", ["r"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "v", "d"], ["ip"], "ip", transB=1),
        helper.make_node("Softmax", ["ip"], ["prob"], "prob", axis=1),
    ]
    arrays = zip("wbvd", (*conv, *dense), strict=True)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(array, name) for name, array in arrays],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def make(kind: str, changes: dict[str, object]) -> tuple[int, str]:
    path = write(Path(), FEATUREMAP | changes)
    return call("makertbin", "--model-type", kind, "-c", str(path))


def test_a_caffe_model_and_its_onnx_twin_are_the_same_bin(folder: Path) -> None:
    code, output = make("caffe", CAFFE | {M + "working_dir": "caffe"})
    assert code == 0, output
    assert "Using caffe prototxt file: net.prototxt" in output
    assert "Start to prepare the caffe model." in output
    assert make("onnx", {M + "working_dir": "onnx"})[0] == 0
    (model,) = container.load(folder / "caffe" / "net.bin")
    assert model.facts[M + "prototxt"] == "net.prototxt"
    assert model.facts[M + "caffe_model"] == "net.caffemodel"
    feed = nets.noise({"data": SHAPE}, 9)["data"]
    one, other = (openbpu.Model(folder / kind / "net.bin")(feed) for kind in ("caffe", "onnx"))
    np.testing.assert_array_equal(one["prob"], other["prob"])
    original = onnx.load(folder / "caffe" / "net_original_float_model.onnx")
    assert {"conv", "relu", "ip", "prob"} <= {node.name for node in original.graph.node}


def test_the_products_are_the_same_each_time(folder: Path) -> None:
    for name in ("one", "two"):
        assert make("caffe", CAFFE | {M + "working_dir": name})[0] == 0
    one, other = (
        {path.name: path.read_bytes() for path in (folder / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == other


def test_output_nodes_are_layers(folder: Path) -> None:
    code, output = make("caffe", CAFFE | {M + "output_nodes": "relu;ip"})
    assert code == 0, output
    (model,) = container.load(folder / "model_output" / "net.bin")
    assert [item.name for item in model.outputs] == ["conv", "ip"]


def test_input_shape_wins(folder: Path) -> None:
    body = BODY.replace('type: "InnerProduct"', 'type: "ReLU"').replace(
        "inner_product_param { num_output: 2 }", ""
    )
    nets.write(folder, nets.inputs({"data": (10, 3, 8, 8)}) + body, weights())
    code, output = call(*CHECKER, "--input-shape", "data", "1x3x32x40")
    assert code == 0, output
    assert "Input name:               data, [1, 3, 32, 40]" in output


def test_missing_keys_in_the_words_of_the_chapter(folder: Path) -> None:
    code, output = make("caffe", {M + "onnx_model": DELETE})
    lines = [line for line in output.splitlines() if "ERROR" in line or line.startswith("Missing")]
    assert code == 2
    assert lines[0].endswith("ERROR Key 'model_parameters' error:")
    assert lines[1].startswith("Missing keys: 'caffe_model', 'prototxt'")


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("onnx", CAFFE | {M + "onnx_model": "net.onnx"}, "prototxt: belongs to --model-type caffe"),
        (
            "caffe",
            CAFFE | {M + "onnx_model": "net.onnx"},
            "onnx_model: belongs to --model-type onnx",
        ),
        ("caffe", CAFFE | {M + "prototxt": "absent"}, "absent: cannot read the model"),
        ("caffe", CAFFE | {M + "prototxt": "net.caffemodel"}, "name the .prototxt"),
        ("caffe", CAFFE | {"input_parameters.input_name": "dtaa"}, "its inputs are data"),
    ],
)
def test_what_is_wrong_in_a_configuration(folder: Path, kind: str, changes, sentence: str) -> None:
    code, output = make(kind, changes)
    assert code != 0
    assert sentence in output


def test_checker_on_the_chapters_example(folder: Path) -> None:
    shapes = {"a": (16, 3, 1, 1), "b": (16, 16, 9, 9), "c": (16, 16, 3, 3)}
    blobs = {f"Convolution{i}": [w] for i, w in enumerate(nets.noise(shapes).values(), 1)}
    nets.write(folder, CHAPTER, blobs)
    code, output = call(*CHECKER)
    assert code == 0, output
    assert "Model type: caffe" in output
    for name, place in (("Convolution1", "BPU"), ("Convolution2", "CPU"), ("Convolution3", "BPU")):
        assert re.search(rf"^{name} +{place} ", output, re.MULTILINE)
    assert re.search(
        r"Layer Convolution2\n +Expected data shape range of Kernel shape is .*"
        r"but the data shape is \[16,9,9,16\]",
        output,
    )


def test_checker_refuses_in_the_words_of_the_chapter(folder: Path) -> None:
    text = HEADS["Input"] + BODY + nets.layer("Accuracy", ["prob"], ["accuracy"], name="accuracy")
    nets.write(folder, text, weights())
    code, output = call(*CHECKER)
    assert code == 1
    assert "ERROR ValueError: Not support layer name=accuracy type=Accuracy" in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model-type", "caffe", "--model", "net.caffemodel"), "needs the .prototxt as well"),
        (
            ("--model-type", "onnx", "--model", "net.onnx", "--proto", "net.prototxt"),
            "--proto belongs",
        ),
        (("--model-type", "onnx", "--model", "net.caffemodel"), "a caffemodel is read with"),
    ],
)
def test_wrong_options(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, output = call("checker", *arguments)
    assert code != 0
    assert sentence in output


def test_a_batch_of_ten_says_what_to_write(folder: Path) -> None:
    nets.write(folder, HEADS["Input"].replace("dim: 1 ", "dim: 10 ", 1) + BODY, weights())
    code, output = call(*CHECKER)
    assert code == 1
    assert "the batch is 10; OpenBPU runs a batch of 1" in output
    assert "give input_shape (checker: --input-shape) a batch of 1" in output


def test_init_says_how_a_caffe_model_is_given(folder: Path) -> None:
    del folder
    code, output = call("init", "net.caffemodel")
    assert code == 1
    assert "(--proto, or in the YAML" in output


def test_init_writes_a_configuration_that_converts(folder: Path) -> None:
    code, output = call("init", "--proto", "net.prototxt", "net.caffemodel", "-o", "made.yaml")
    assert code == 0, output
    assert "hb_mapper makertbin --model-type caffe -c made.yaml" in output
    text = (folder / "made.yaml").read_text()
    assert "prototxt: 'net.prototxt'" in text
    assert "caffe_model: 'net.caffemodel'" in text
    assert "input_type_train: 'bgr'" in text
    made = folder / "made2.yaml"
    made.write_text(re.sub("cal_data_dir: .*", "cal_data_dir: 'cal_f32'", text))
    code, output = call("makertbin", "--model-type", "caffe", "-c", str(made))
    assert code == 0, output


def test_python_takes_the_configuration(folder: Path) -> None:
    path = write(folder, FEATUREMAP | CAFFE)
    converted = openbpu.convert(path)
    assert list(converted.cosines) == ["prob"]


def test_a_cut_layer_is_a_warning(folder: Path) -> None:
    text = (
        HEADS["Input"]
        + BODY
        + nets.layer("DetectionOutput", ["prob", "ip"], ["found"], name="found")
    )
    nets.write(folder, text, weights())
    code, output = call(*CHECKER)
    assert code == 0, output
    assert "WARNING layer found: DetectionOutput is cut off" in output
    assert call(*CHECKER, "--strict")[0] == 1
