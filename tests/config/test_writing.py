"""One meaning, however it is written; what is wrong in form hides nothing else."""

from __future__ import annotations

import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import BpuError, ConfigError, ModelFormatError
from bpu_host.compiler.config import CompileConfig, load_config, resolve
from bpu_host.compiler.config.model_inputs import ModelInputs
from bpu_host.compiler.config.schema import GROUPS
from bpu_host.compiler.config.values import GraphInput
from bpu_host.compiler.config.writing import numbers, shape, texts
from tests.support.yaml_front import DELETE, config, write

M, N, C, P = (f"{group}." for group in GROUPS if group != "custom_op")
FEATUREMAP = {
    N + "input_type_train": "featuremap",
    N + "input_type_rt": "featuremap",
    N + "norm_type": "no_preprocess",
    N + "mean_value": DELETE,
    N + "scale_value": DELETE,
}


def failure(folder: Path, changes: dict[str, Any], *graph: GraphInput) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, changes), lambda _: ModelInputs(graph))
    return str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        "1x3x4x5",
        "1X3X4X5",
        "1,3,4,5",
        "[1, 3, 4, 5]",
        "1 x 3 x 4 x 5",
        "'1x3x4x5';",
        [1, 3, 4, 5],
        [[1, 3, 4, 5]],
        ["1x3x4x5"],
    ],
)
def test_shapes(tmp_path: Path, given: object) -> None:
    assert load_config(write(tmp_path, {N + "input_shape": given})).inputs[0].shape == (1, 3, 4, 5)


@pytest.mark.parametrize("given", ["1.5 2 3", "1.5, 2, 3", [1.5, 2, 3], [[1.5, 2, 3]], "1.5;2;3",
                                   ["1.5", "2", "3"], ["1.5 2 3"], "[1.5 2 3]"])  # fmt: skip
def test_numbers_of_channels(tmp_path: Path, given: object) -> None:
    assert load_config(write(tmp_path, {N + "mean_value": given})).inputs[0].mean == (1.5, 2, 3)


@pytest.mark.parametrize(
    "given", ["1 2 3; None", "1 2 3; 'None'", [[1, 2, 3], None], ["1 2 3", "None"], "1 2 3；None"]
)
def test_none_for_one_of_several_inputs(tmp_path: Path, given: object) -> None:
    found = load_config(
        write(
            tmp_path,
            {
                N + "input_name": "a;b",
                N + "input_type_train": "rgb;featuremap",
                N + "input_type_rt": ["rgb", "featuremap"],
                N + "norm_type": "data_mean;no_preprocess",
                N + "mean_value": given,
                N + "scale_value": DELETE,
                C + "cal_data_dir": ["a_f32", "b_f32"],
            },
        )
    )
    assert [item.mean for item in found.inputs] == [(1, 2, 3), ()]


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        (P + "core_num", "1", 1),
        (P + "optimize_level", 3, "O3"),
        (P + "optimize_level", "o2", "O2"),
        (P + "max_time_per_fc", "1000", 1000),
        (P + "debug", "on", True),
        (P + "jobs", "8", 8),
        (C + "max_percentile", "0.999", 0.999),
        (C + "preprocess_on", 1, True),
        (C + "per_channel", "no", False),
        (M + "march", "Bernoulli2", "bernoulli2"),
        (M + "output_model_file_prefix", 12, "12"),
        (P + "input_source", [{"data": "DDR"}], {"data": "ddr"}),
        (P + "input_source", '"data": "ddr"', {"data": "ddr"}),
    ],
)
def test_quoted_and_bare(tmp_path: Path, key: str, written: object, meant: object) -> None:
    one, other = (
        replace(load_config(write(tmp_path, {key: value})), locations={})
        for value in (written, meant)
    )
    assert one == other


@pytest.mark.parametrize("blank", [None, "", "  ", ";", [], {}, [None], ["", None]])
def test_blank_is_as_good_as_absent(tmp_path: Path, blank: object) -> None:
    changes = {
        f"{group}.{name}": copy.deepcopy(blank)  # the same object twice is written as an alias
        for group, model in GROUPS.items()
        for name, field in model.model_fields.items()
        if group != "custom_op" and name != "onnx_model" and not field.is_required()
    }
    changes |= {N + "norm_type": "no_preprocess"}
    absent = {key: DELETE for key in changes if key in flat(config())} | {
        N + "norm_type": "no_preprocess"
    }
    one, other = (load_config(write(tmp_path, each)) for each in (changes, absent))
    assert (one.inputs, one.calibration_method, one.notes) == (
        other.inputs,
        other.calibration_method,
        other.notes,
    )


def flat(values: dict[str, dict[str, Any]]) -> set[str]:
    return {f"{group}.{key}" for group, keys in values.items() for key in keys}


@given(st.lists(st.lists(st.integers(1, 9999), min_size=1, max_size=6), min_size=1, max_size=4))
def test_lists_and_texts_mean_the_same(shapes: list[list[int]]) -> None:
    text = ";".join("x".join(map(str, each)) for each in shapes)
    assert texts(shapes, "x") == texts(text) == text.split(";")
    assert [list(shape(each)) for each in text.split(";")] == shapes


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_survive(values: list[float]) -> None:
    assert numbers(" ".join(map(repr, values))) == tuple(values)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(
    st.sampled_from([(group, name) for group in GROUPS for name in GROUPS[group].model_fields]),
    VALUES,
)
def test_nothing_a_yaml_can_hold_is_a_fault(key: tuple[str, str], value: object) -> None:
    """Any value at any key is taken or refused in a sentence of ours."""
    group, name = key
    document = config()
    document.setdefault(group, {})[name] = value
    try:
        load_text(json.dumps(document))
    except ConfigError as error:
        assert "Input should" not in str(error)  # noqa: PT017


def load_text(text: str) -> CompileConfig:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({C + "calibration_type": DELETE}, "calibration_type is not set: 'default' is taken"),
        ({N + "norm_type": "data_scale"},
         "mean_value of the input has no effect: norm_type is 'data_scale'"),
        ({N + "norm_type": "data_mean"}, "scale_value of the input has no effect"),
        ({N + "norm_type": "no_preprocess"}, "mean_value of the input has no effect"),
        ({C + "calibration_type": "kl", C + "max_percentile": 0.5}, "max_percentile has an effect"),
        ({C + "preprocess_on": True, C + "cal_data_type": "uint8"}, "cal_data_type has no effect"),
        ({N + "input_type_train": "featuremap", N + "input_type_rt": "featuremap",
          C + "cal_data_type": "uint8"}, "cal_data_type of the input has no effect"),
        ({P + "balance_factor": 2}, "balance_factor has an effect only with compile_mode"),
        ({P + "jobs": 32}, "jobs has no effect"),
        ({P + "advice": 1}, "advice has no effect"),
        ({M + "debug_mode": "dump_calibration_data"}, "debug_mode has no effect"),
        ({N + "input_layout_rt": "NHWC"}, "input_layout_rt of the input has no effect"),
    ],
)  # fmt: skip
def test_keys_without_effect_are_notes(tmp_path: Path, changes: dict[str, Any], note: str) -> None:
    assert any(note in sentence for sentence in load_config(write(tmp_path, changes)).notes)


def test_form_hides_no_meaning(tmp_path: Path) -> None:
    """A wrong flag, an unknown key, a contradiction and what does not fit the model, in one run."""
    text = failure(
        tmp_path,
        {
            P + "debug": "maybe",
            M + "marhc": "bernoulli2",
            N + "scale_value": "0",
            N + "input_type_train": "gray",
            C + "run_on_cpu": "a",
            C + "run_on_bpu": "a",
            C + "per_channel": True,
            P + "input_source": {"dta": "ddr"},
        },
        ("data", (1, 3, 31, 32)),
    )
    for words in (
        "debug: 'maybe' is not possible",
        "marhc: unknown key; did you mean 'march'?",
        "a scale of 0",
        "'nv12' cannot be turned into input_type_train 'gray'",
        "node a stands in run_on_cpu as well",
        "thresholds per channel of a feature map are not available yet",
        "the model has no input 'dta'; its inputs are data; did you mean 'data'?",
        "nv12 needs even sizes",
    ):
        assert words in text
    assert len([line for line in text.splitlines() if line.startswith("net.yaml:")]) == 8


def test_what_stands_in_for_a_wrong_value_is_not_judged(tmp_path: Path) -> None:
    """One mistake, one sentence: nothing follows from a value that nobody wrote."""
    shown = ("data", (1, 32, 32, 3))
    for key, value in (
        (N + "input_type_rt", "nv21"),
        (N + "input_type_train", "rgbb"),
        (N + "norm_type", "data_men"),
        (N + "input_layout_train", "NWHC"),
        (N + "input_shape", "axb"),
        (C + "calibration_type", "kll"),
    ):
        text = failure(
            tmp_path, {key: value, N + "input_layout_train": "NHWC"} | {key: value}, shown
        )
        assert [line for line in text.splitlines() if f"{key}: " not in line] == []


def test_a_model_that_cannot_be_read_is_no_second_problem(tmp_path: Path) -> None:
    def unreadable(_: CompileConfig) -> tuple[GraphInput, ...]:
        raise ModelFormatError("no model")

    with pytest.raises(BpuError, match="debug: 'maybe' is not possible") as caught:
        load_config(write(tmp_path, {P + "debug": "maybe"}), unreadable)
    assert "no model" not in str(caught.value)


def test_problems_of_all_inputs_come_at_once(tmp_path: Path) -> None:
    changes = FEATUREMAP | {
        N + "input_name": "a;b;c",
        N + "input_type_train": "gray;gray;featuremap",
        N + "input_type_rt": "gray;gray;featuremap",
        N + "norm_type": "no_preprocess;no_preprocess;no_preprocess",
        C + "cal_data_dir": "a;b;c",
    }
    given = load_config(write(tmp_path, changes))
    with pytest.raises(ConfigError) as caught:
        resolve(given, (("a", (1, 3, 8, 8)), ("bb", (1, 1, 8, 8)), ("c", (1, "n", 8))))
    text = str(caught.value)
    assert "3 channels, but gray has 1" in text
    assert "the model has no input 'b'; its inputs are a, bb, c; did you mean 'bb'?" in text
    assert "input 'c' has the dynamic shape 1xnx8" in text
    assert "input_shape: '1x224x8' in the YAML, --input-shape c 1x224x8 for the checker" in text


@pytest.mark.parametrize("named", [True, False])
def test_input_source_is_held_against_the_model(tmp_path: Path, named: bool) -> None:
    changes: dict[str, Any] = {P + "input_source": {"x": "ddr"}}
    changes |= {N + "input_name": "data"} if named else {}
    with pytest.raises(ConfigError, match=r"input_source: .*'x'.*data"):
        resolve(load_config(write(tmp_path, changes)), (("data", (1, 3, 8, 8)),))


def test_input_source_of_an_input_without_name(tmp_path: Path) -> None:
    changes = {P + "input_source": {"data": "ddr", "_default_value": "pyramid"}}
    found = resolve(load_config(write(tmp_path, changes)), (("data", (1, 3, 8, 8)),))
    assert found.inputs[0].source.value == "ddr"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("\ufeffmodel_parameters: 3".encode(), "must hold keys and values"),
        ("model_parameters: 3".encode("utf-16"), "must hold keys and values"),
        (b"model_parameters:\r\n  march: 3\r\n", "march"),
        (
            "model_parameters:\n  # 模型".encode("gbk"),
            "net.yaml:2: the file is not UTF-8 text: byte 0xd0",
        ),
        (b'{"model_parameters": {"a\\ud83d\\ude00": 1}}', "a\N{GRINNING FACE}: unknown key"),
        (b'{"model_parameters": {"march": "\\ud83d"}}', "holds half a character"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "net.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert expected in str(caught.value)
    str(caught.value).encode()
