"""Every key of the chapter: what is accepted, what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from bpu_common.errors import ConfigError
from bpu_common.tensor import DType, InputSource, InputType, Layout
from bpu_host.compiler.config import CalibrationMethod, load_config, resolve
from bpu_host.compiler.config.conditions import TRAIN_TO_RT
from bpu_host.compiler.config.refused import TABLE
from bpu_host.compiler.config.schema import GROUPS, RtType
from tests.support.yaml_front import DELETE, config, write

M, N, C, P = (f"{group}." for group in GROUPS if group != "custom_op")


def message(folder: Path, changes: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, changes))
    return str(caught.value)


def test_defaults(tmp_path: Path) -> None:
    found = load_config(write(tmp_path))
    item = found.inputs[0]
    assert (found.march, found.working_dir, found.log_level) == (
        "bernoulli2",
        Path("model_output"),
        "debug",
    )
    assert found.calibration_method is CalibrationMethod.MAX
    assert (found.max_percentile, found.preprocess_on, found.max_time_per_fc_us) == (1.0, False, 0)
    assert (item.name, item.shape, item.train_layout) == ("", (), Layout.NCHW)
    assert (item.train_type, item.rt_type) == (InputType.RGB, InputType.NV12)
    assert item.source is InputSource.PYRAMID
    assert item.mean == (123.675, 116.28, 103.53)
    assert item.cal_data_type is DType.FLOAT32
    assert item.intermediate_type == "yuv444_128"


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"model_parameters.working_dir": "out"}, "working_dir", Path("out")),
        ({"model_parameters.log_level": "warn"}, "log_level", "warn"),
        ({"model_parameters.output_nodes": "a; b ;"}, "output_nodes", ("a", "b")),
        ({"calibration_parameters.run_on_cpu": {"Conv_1": None}}, "run_on_cpu", ("Conv_1",)),
        ({"calibration_parameters.run_on_bpu": "x;y"}, "run_on_bpu", ("x", "y")),
        ({"calibration_parameters.max_percentile": 0.999}, "max_percentile", 0.999),
        ({"calibration_parameters.preprocess_on": "True"}, "preprocess_on", True),
        ({"compiler_parameters.compile_mode": "bandwidth"}, "compile_mode", "bandwidth"),
        ({"compiler_parameters.optimize_level": "O0"}, "optimize_level", "O0"),
        ({"compiler_parameters.max_time_per_fc": 1000}, "max_time_per_fc_us", 1000),
        ({"compiler_parameters.debug": True}, "debug", True),
    ],
)
def test_values(tmp_path: Path, changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(load_config(write(tmp_path, changes)), field) == expected


def test_every_default_that_is_written_out_passes(tmp_path: Path) -> None:
    """Writing a default must not be refused."""
    changes = {
        f"{group}.{key}": field.default
        for group, model in GROUPS.items()
        if group != "custom_op"
        for key, field in model.model_fields.items()
        if not field.is_required() and field.default is not None
    }
    changes["input_parameters.input_batch"] = 1
    load_config(write(tmp_path, changes))


EXAMPLES: dict[tuple[str, str], object] = {
    ("model_parameters.layer_out_dump", "True"): True,
    ("model_parameters.remove_node_type", "any"): "Quantize;Dequantize",
    ("model_parameters.remove_node_name", "any"): "n1",
    ("model_parameters.set_node_data_type", "any"): "n1:int16",
    ("model_parameters.node_info", "any"): {"n1": {"ON": "CPU"}},
    ("input_parameters.input_batch", "2 to 128"): 8,
    ("calibration_parameters.calibration_type", "mix"): "mix",
    ("calibration_parameters.calibration_type", "load"): "load",
    ("calibration_parameters.calibration_type", "skip"): "skip",
    ("calibration_parameters.per_channel", "True"): True,
    ("calibration_parameters.optimization", "any"): "set_model_output_int8",
    ("compiler_parameters.compile_mode", "balance"): "balance",
    ("compiler_parameters.core_num", "2"): 2,
    ("compiler_parameters.max_time_per_fc", "1 to 999"): 999,
    ("compiler_parameters.input_source", "resizer"): {"data": "resizer"},
    ("custom_op.custom_op_method", "any"): "register",
    ("custom_op.op_register_files", "any"): "a.py;b.py",
    ("custom_op.custom_op_dir", "any"): "./ops",
}


@pytest.mark.parametrize("refusal", TABLE, ids=lambda item: f"{item.key}={item.values}")
def test_each_refused_value_has_its_sentence(tmp_path: Path, refusal: Any) -> None:
    text = message(tmp_path, {refusal.key: EXAMPLES[refusal.key, refusal.values]})
    assert f"{refusal.key}: {refusal.sentence}" in text
    assert "net.yaml:" in text


def test_refused_keys_exist_in_the_schema() -> None:
    for refusal in TABLE:
        group, key = refusal.key.split(".")
        assert key in GROUPS[group].model_fields


@pytest.mark.parametrize("train", list(TRAIN_TO_RT))
@pytest.mark.parametrize("rt", get_args(RtType))
def test_type_table(tmp_path: Path, train: str, rt: str) -> None:
    changes: dict[str, Any] = {
        "input_parameters.input_type_train": train,
        "input_parameters.input_type_rt": rt,
        "input_parameters.norm_type": "no_preprocess",
        "input_parameters.mean_value": DELETE,
        "input_parameters.scale_value": DELETE,
    }
    if rt in TRAIN_TO_RT[train]:
        assert load_config(write(tmp_path, changes)).inputs[0].rt_type is InputType(rt)
    else:
        assert "cannot be turned into input_type_train" in message(tmp_path, changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({M + "onnx_model": DELETE}, "Key 'model_parameters' error:\nMissing keys: 'onnx_model'"),
        ({M + "output_model_file_prefix": DELETE}, "Missing keys: 'output_model_file_prefix'"),
        ({"calibration_parameters": None}, "Missing keys: 'calibration_parameters'"),
        ({P + "optimize_level": DELETE},
         "Key 'compiler_parameters' error:\nMissing keys: 'optimize_level'"),
        ({M + "onnx_modle": "x"}, "unknown key; did you mean 'onnx_model'?"),
        ({"model_parameter.march": "x"},
         "model_parameter: unknown group; did you mean 'model_parameters'?"),
        ({M + "march": "bayes"}, "'bayes' is the architecture of the J5 and RDK Ultra, which is"),
        ({M + "output_model_file_prefix": "a/b"}, "without folders"),
        ({M + "output_model_file_prefix": ".."}, "'..' is no name"),
        ({M + "output_model_file_prefix": "x" * 201}, "at most 200 bytes"),
        ({M + "output_model_file_prefix": "\u540d" * 70}, "at most 200 bytes"),
        ({M + "working_dir": "a\0b"}, "control characters are not possible"),
        ({M + "march": "bernouli2"},
         "'bernouli2' is not possible: bernoulli2; did you mean 'bernoulli2'?"),
        ({N + "input_type_rt": "nv21"},
         "one per input, separated by ';'; did you mean 'nv12'?"),
        ({N + "mean_value": DELETE}, "input_parameters.mean_value: must be set"),
        ({N + "mean_value": "a b c"}, "is not a list of numbers"),
        ({N + "scale_value": "0"}, "a scale of 0"),
        ({N + "mean_value": "1e39"}, "is not a list of numbers"),
        ({N + "input_shape": "1x3xHxW"}, "is not a shape"),
        ({N + "input_type_train": "rgb;rgb"}, "has 2 value(s), input_type_rt has 1"),
        ({N + "input_type_rt": "rgb", N + "input_space_and_range": "bt601_video"},
         "only with input_type_rt 'nv12'"),
        ({N + "input_type_rt": "yuv444", N + "input_layout_rt": "NCHW"}, "'NCHW' is not possible"),
        ({N + "input_type_rt": "featuremap", N + "input_layout_rt": "NHWC"},
         "differs from input_layout_train 'NCHW' of featuremap"),
        ({N + "input_batch": 200}, "'200' is not possible: a whole number from 1 to 128"),
        ({C + "max_percentile": 1.5}, "1.5 is not possible: a number above 0 to 1.0"),
        ({C + "calibration_type": "kll"},
         "calibration_parameters.calibration_type: 'kll' is not possible: default, kl, max,"),
        ({C + "run_on_cpu": "a", C + "run_on_bpu": "a"}, "stands in run_on_cpu as well"),
        ({C + "preprocess_on": "maybe"}, "preprocess_on: 'maybe' is not possible: True or False"),
        ({P + "core_num": 3}, "core_num: 3 is not possible: 1 or 2"),
        ({P + "max_time_per_fc": -1}, "-1 is not possible: a whole number from 0 to 4294967295"),
        ({P + "max_time_per_fc": 4294967296}, "4294967296 is not possible: a whole"),
        ({P + "input_source": "moon"}, "must be a mapping"),
        ({P + "input_source": {"a": {"b": 1}}}, "must be a mapping"),
        ({P + "input_source": {"a": "pyramid"}, N + "input_type_rt": "rgb"},
         "the pyramid delivers nv12 or gray"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in message(tmp_path, changes)


def test_all_problems_come_at_once_with_their_places(tmp_path: Path) -> None:
    text = message(
        tmp_path,
        {
            "model_parameters.onnx_model": DELETE,
            "model_parameters.output_model_file_prefix": DELETE,
            "model_parameters.marsh": "x",
            "compiler_parameters.core_num": 7,
        },
    )
    missing = "'onnx_model', 'output_model_file_prefix' (net.yaml:1:1)"
    assert f"Key 'model_parameters' error:\nMissing keys: {missing}" in text
    assert "onnx_model: the float model, an ONNX file; text, for example 'net.onnx'" in text
    assert "net.yaml:2:3: model_parameters.marsh: unknown key; did you mean 'march'?" in text
    assert "compiler_parameters.core_num" in text


def test_duplicate_keys_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "  optimize_level: O2\n")
    with pytest.raises(ConfigError, match=r"\.optimize_level: written twice"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("- a", "consists of groups"),
        ("a: [1", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("model_parameters: 3", "must hold keys and values"),
        ("? [a, b]\n: 1", "not valid YAML"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_two_inputs(tmp_path: Path) -> None:
    found = load_config(
        write(
            tmp_path,
            {
                "input_parameters.input_name": "image; points",
                "input_parameters.input_type_train": "bgr;featuremap",
                "input_parameters.input_type_rt": "bgr;featuremap",
                "input_parameters.input_layout_train": "NHWC;NCHW",
                "input_parameters.input_layout_rt": "NCHW;NCHW",
                "input_parameters.input_shape": "1x8x8x3;1x4x2x2",
                "input_parameters.norm_type": "data_scale;no_preprocess",
                "input_parameters.mean_value": "None;None",
                "input_parameters.scale_value": "0.5;None",
                "calibration_parameters.cal_data_dir": "a;b_f32",
                "compiler_parameters.input_source": '"image": "ddr", "points": "ddr"',
            },
        )
    )
    image, points = found.inputs
    assert (image.name, image.shape, image.shape_hwc) == ("image", (1, 8, 8, 3), (8, 8, 3))
    assert (image.mean, image.scale, image.cal_data_type) == ((), (0.5,), DType.UINT8)
    assert (points.rt_type, points.cal_data_type) == (InputType.FEATUREMAP, DType.FLOAT32)
    assert image.model_input().caller_shape == (1, 3, 8, 8)
    assert points.model_input().caller_dtype is DType.FLOAT32


def resolved(folder: Path, shape: tuple[int | str | None, ...], **changes: Any) -> Any:
    given = {f"input_parameters.{key}": value for key, value in changes.items()}
    return resolve(load_config(write(folder, given)), (("data", shape),))


def test_resolve_fills_in_what_the_model_knows(tmp_path: Path) -> None:
    item = resolved(tmp_path, ("N", 3, 32, 32)).inputs[0]
    assert (item.name, item.shape) == ("data", (1, 3, 32, 32))
    assert item.model_input().tensor.shape == (1, 32, 32, 3)
    assert item.model_input().caller_shape == (32 * 32 * 3 // 2,)


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((1, 3, 31, 32), {}, "nv12 needs even sizes"),
        ((1, 3, "H", 32), {}, "dynamic shape 1x3xHx32"),
        ((2, 3, 32, 32), {}, "batch"),
        ((1, 32, 32, 3), {}, "32 channels, but nv12 has 3"),
        ((1, 3, 32), {}, "has length: 3"),
        ((1, 3, 32, 32), {"input_name": "image"}, "no input 'image'"),
        ((1, 3, 32, 32), {"input_shape": "1x3x32"}, "has length: 3"),
        ((1, 3, 32, 32), {"mean_value": "1 2"}, "2 values for input 'data'"),
    ],
)
def test_resolve_refuses(
    tmp_path: Path, shape: tuple[int | str, ...], changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        resolved(tmp_path, shape, **changes)


def test_base_is_not_changed_by_tests() -> None:
    assert config() == config({})
