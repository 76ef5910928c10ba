"""`machine`: the key, the flag, and what the choice changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from bpu_common import container
from bpu_common.errors import ConfigError
from bpu_common.machine import MACHINES, X3M
from bpu_common.model import BpuModel
from bpu_common.tensor import InputType, Layout
from bpu_host.cli.hb_mapper import cli
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig, load_config
from tests.support.nets_front import classifier
from tests.support.yaml_front import write

KEY = "compiler_parameters.machine"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(classifier(), tmp_path / "net.onnx")
    return tmp_path


def checked(*options: str) -> tuple[BpuModel, str]:
    arguments = ["checker", "--model-type", "onnx", "--model", "net.onnx", *options]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    (model,) = container.load(Path(".hb_check") / "checker_hybrid_horizonrt.bin")
    return model, done.output


def test_the_key(tmp_path: Path) -> None:
    assert load_config(write(tmp_path)).machine == "x3m"
    for name in MACHINES:
        assert load_config(write(tmp_path, {KEY: name.upper()})).machine == name
    with pytest.raises(ConfigError, match=f"{KEY}.*the chips are x3m, j3, x3e"):
        load_config(write(tmp_path, {KEY: "x4"}))


@pytest.mark.parametrize("machine", list(MACHINES))
def test_the_flag_of_the_checker(folder: Path, machine: str) -> None:
    model, output = checked("--machine", machine)
    assert model.machine == model.facts[KEY] == machine
    assert f"Machine: {machine}, 2 cores at {MACHINES[machine].clock_hz / 1e6:g} MHz" in output


def test_the_flag_of_makertbin_wins_over_the_key(folder: Path) -> None:
    (folder / "cal_f32").mkdir()
    (folder / "cal_f32" / "0.rgb").write_bytes(bytes(4 * 3 * 16 * 16))
    path = str(write(folder, {KEY: "j3"}))
    for options, machine in (([], "j3"), (["--machine", "x3e"], "x3e")):
        arguments = ["makertbin", "--model-type", "onnx", "-c", path, *options]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        (model,) = container.load(folder / "model_output" / "net.bin")
        assert model.machine == model.facts[KEY] == machine


def test_latency_follows_the_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slower clock: the same program, longer; another array: another number of cycles."""
    wide = replace(X3M, name="wide", macs_per_cycle=4 * X3M.macs_per_cycle, sram_bytes=1 << 19)
    monkeypatch.setitem(MACHINES, "wide", wide)
    item = InputConfig(
        "data", (1, 3, 16, 16), InputType.FEATUREMAP, Layout.NCHW, InputType.FEATUREMAP, Layout.NCHW
    )
    config = CompileConfig(
        folder / "net.onnx",
        "net",
        folder / "out",
        (item,),
        calibration_method=CalibrationMethod.MAX,
        optimize_level="O0",
    )
    cycles, latency_us, names = {}, {}, {}
    for name in MACHINES:
        made = compile_model(replace(config, machine=name), measure=False)
        programs = [part.program for _, part in made.model.bpu_parts]
        names[name] = made.model.machine
        cycles[name] = sum(c.predicted_cycles for p in programs for c in p.calls)
        latency_us[name] = sum(each.latency_us for each in made.estimate.parts)
    assert names == {name: name for name in MACHINES}
    assert cycles["x3m"] == cycles["j3"] == cycles["x3e"]
    assert cycles["wide"] < cycles["x3m"]
    for name in ("j3", "x3e"):
        slower = X3M.clock_hz / MACHINES[name].clock_hz
        assert latency_us[name] == pytest.approx(slower * latency_us["x3m"], rel=1e-3)
