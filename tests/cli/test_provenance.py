"""What a `.bin` says it was made of: everything that can change it, nothing of this computer."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from bpu_common.provenance import Provenance
from bpu_common.tensor import DType, InputSource, InputType, Layout
from bpu_host.compiler import frontend
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.calibrate import Calibration
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_host.compiler.config.values import AllCodes, WeightRounding
from bpu_host.compiler.provenance import effective
from tests.support.nets_front import classifier

IMAGE = InputConfig("data", (1, 3, 16, 16), InputType.RGB, Layout.NCHW, InputType.NV12, Layout.NHWC)


def split_model(folder: Path, factor: float = 1.0) -> Path:
    """The classifier with its first two constants in files of their own."""
    proto = classifier()
    folder.mkdir(exist_ok=True)
    for tensor, name in zip(proto.graph.initializer, ("weights.data", "bias.data"), strict=False):
        (folder / name).write_bytes((numpy_helper.to_array(tensor) * np.float32(factor)).tobytes())
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"./{name}")
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def config(model: Path, **changes: Any) -> CompileConfig:
    base = CompileConfig(
        model,
        "net",
        model.parent / "out",
        (IMAGE,),
        calibration_method=CalibrationMethod.MAX,
        optimize_level="O0",
    )
    return replace(base, **changes)


def compiled(model: Path, **changes: Any) -> Compiled:
    return compile_model(config(model, **changes), measure=False)


def test_models_that_differ_in_external_weights_alone_differ(tmp_path: Path) -> None:
    one, two = split_model(tmp_path / "a"), split_model(tmp_path / "b", 2.0)
    assert one.read_bytes() == two.read_bytes()
    found = [compiled(path).provenance for path in (one, two)]
    assert found[0].source_sha256 != found[1].source_sha256
    assert list(found[0].source_files) == ["net.onnx", "bias.data", "weights.data"]
    for path, each in zip((one, two), found, strict=True):
        whole = b""
        for name, digest in each.source_files.items():
            content = (path.parent / name).read_bytes()
            assert digest == hashlib.sha256(content).hexdigest()
            whole += content
        assert each.source_sha256 == hashlib.sha256(whole).hexdigest()
    assert found[0] == compiled(one).provenance


def test_what_was_read_counts_not_what_the_file_became(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(classifier(), path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    source = frontend.read(config(path))
    path.write_bytes(b"another file meanwhile")
    made = compile_model(config(path), source=source, measure=False)
    assert made.provenance.source_sha256 == before


def test_the_samples_count(tmp_path: Path) -> None:
    path, folder = tmp_path / "net.onnx", tmp_path / "cal"
    onnx.save(classifier(), path)
    folder.mkdir()

    def digest(*values: int) -> str:
        for index, value in enumerate(values):
            np.full((1, 3, 16, 16), value, np.uint8).tofile(folder / f"{index}.rgb")
        item = replace(IMAGE, cal_data_dir=folder, cal_data_type=DType.UINT8)
        return compiled(path, inputs=(item,)).provenance.samples_sha256

    first = digest(10, 200)
    assert digest(10, 200) == first
    assert len({first, digest(10, 201), digest(200, 10)}) == 3


def test_it_is_shown_with_the_model_and_holds_no_path(tmp_path: Path) -> None:
    made = compiled(split_model(tmp_path / "a"))
    facts = made.model.facts
    assert facts == made.provenance.parameters()
    assert str(tmp_path) not in str(made.provenance)
    assert set(made.provenance.versions) == {"openbpu", "python", "numpy", "onnx", "onnxruntime"}
    assert facts["tool.onnx_version"] == onnx.__version__
    for part in fields(Provenance):
        value = getattr(made.provenance, part.name)
        assert set(value.values() if isinstance(value, dict) else [value]) <= set(facts.values())


OTHER: dict[str, Any] = {
    "model_path": Path("other.onnx"),
    "prototxt": Path("net.prototxt"),
    "prefix": "other",
    "inputs": (replace(IMAGE, name="other"),),
    "march": "other",
    "machine": "j3",
    "output_nodes": ("fc",),
    "calibration_method": CalibrationMethod.KL,
    "max_percentile": 0.99999999,
    "weight_rounding": WeightRounding.NEAREST,
    "all_codes": AllCodes.OFF,
    "preprocess_on": True,
    "run_on_cpu": ("fc",),
    "run_on_bpu": ("fc",),
    "compile_mode": "bandwidth",
    "debug": True,
    "optimize_level": "O3",
    "max_time_per_fc_us": 1000,
}
WITHOUT_A_SAY = {"working_dir", "log_level", "source_names", "notes", "locations", "file"}
BY_SUFFIX = "dtype_by_suffix"
"""Settled before anything is made of it: `cal_data_type` stands in it."""
OTHER_INPUT: dict[str, Any] = {
    "name": "other",
    "shape": (1, 3, 16, 18),
    "train_type": InputType.BGR,
    "train_layout": Layout.NHWC,
    "rt_type": InputType.RGB,
    "rt_layout": Layout.NCHW,
    "video_range": True,
    "mean": (123.456789012,),
    "scale": (0.0171247538,),
    "source": InputSource.PYRAMID,
    "cal_data_dir": Path("cal"),
    "cal_data_type": DType.UINT8,
    "dtype": DType.INT64,
}


@pytest.mark.parametrize("name", [field.name for field in fields(CompileConfig)])
def test_every_setting_stands_in_it(name: str) -> None:
    before = config(Path("net.onnx"))
    calibration = Calibration({}, "max", 1)
    if name in WITHOUT_A_SAY:
        assert name not in OTHER
        return
    after = replace(before, **{name: OTHER[name]})
    assert effective(after, calibration) != effective(before, calibration)


@pytest.mark.parametrize(
    "name", sorted({field.name for field in fields(InputConfig)} - {BY_SUFFIX})
)
def test_every_setting_of_an_input_stands_in_it(name: str) -> None:
    before = config(Path("net.onnx"))
    calibration = Calibration({}, "max", 1)
    after = replace(before, inputs=(replace(IMAGE, **{name: OTHER_INPUT[name]}),))
    assert effective(after, calibration) != effective(before, calibration)
