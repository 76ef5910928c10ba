"""What a conversion says of the whole model, against the simulated device and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from bpu_board.cli.hrt_model_exec import main as hrt_model_exec
from bpu_common import container
from bpu_common.machine import MACHINES
from bpu_common.network import OnnxOp, Place, QLut
from bpu_common.tensor import InputType, Layout
from bpu_host.cli.hb_mapper import cli
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_sim.timing import PREPROCESS, cpu_step_ns, predict
from tests.support.nets_front import Net, classifier


def on_the_bpu() -> onnx.ModelProto:
    net = Net([1, 3, 32, 32])
    x = net.add("Relu", net.conv("data", (3, 16), name="first"))
    return net.model(net.conv(x, (16, 8), name="last"))


def gated() -> onnx.ModelProto:
    """Look-ups that are too large, what follows them, and a Softmax with a tail of its own."""
    net = Net([1, 3, 64, 64])
    x = net.conv("data", (3, 16), name="first")
    x = net.add("Mul", x, net.add("Sigmoid", x, name="gate"), name="silu")
    x = net.add("MaxPool", x, name="pool", kernel_shape=[3, 3], pads=[1] * 4)
    x = net.conv(x, (16, 8), name="last")
    x = net.add("Softmax", x, name="softmax", axis=1)
    x = net.add("Relu", x, name="relu")
    return net.model(net.add("Add", x, x, name="twice"))


MODELS = {"on_the_bpu": on_the_bpu, "classifier": classifier, "gated": gated}


def converted(name: str, folder: Path, machine: str = "x3m") -> Compiled:
    path = folder / f"{name}.onnx"
    onnx.save(MODELS[name](), path)
    size = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[2].dim_value
    float_input = InputType.FEATUREMAP, Layout.NCHW
    item = InputConfig("data", (1, 3, size, size), *float_input, *float_input)
    config = CompileConfig(
        path, name, folder, (item,), machine=machine, calibration_method=CalibrationMethod.MAX
    )
    return compile_model(config, measure=False)


@pytest.mark.parametrize("machine", ["x3m", "x3e"])
@pytest.mark.parametrize("name", MODELS)
def test_the_simulated_device_measures_the_same(
    name: str, machine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = converted(name, tmp_path, machine)

    def measured(threads: int) -> dict[str, float]:
        options = ["--model_file", str(made.files[-1]), "--thread_num", str(threads), "--json"]
        assert hrt_model_exec(["perf", *options]) == 0
        return json.loads(capsys.readouterr().out)

    alone, busy = measured(1), measured(8)
    cost = made.estimate
    assert cost.latency_ns / 1e6 == alone["average_latency_ms"] == alone["max_latency_ms"]
    assert cost.frames_per_second_alone == pytest.approx(alone["fps"])
    assert cost.frames_per_second == pytest.approx(busy["fps"])


@pytest.mark.parametrize("name", MODELS)
def test_the_frame_is_the_sum_of_its_parts(name: str, tmp_path: Path) -> None:
    made, spec = converted(name, tmp_path), MACHINES["x3m"]
    calls = [
        call.cycles * 1e9 / spec.clock_hz
        for _, part in made.model.bpu_parts
        for call in predict(part.program, spec).calls
    ]
    cpu_ns = sum(each.duration_ns for each in made.estimate.cpu)
    submit_ns = len(made.model.bpu_parts) * spec.cpu.submit_ns
    assert made.estimate.cpu_ns == cpu_ns
    assert made.estimate.cpu[0].duration_ns == cpu_step_ns(PREPROCESS, 0, spec.cpu)
    assert made.estimate.submit_ns == submit_ns
    assert made.estimate.bpu_ns == pytest.approx(sum(calls), abs=len(calls))  # whole ns a call


def test_what_follows_others_is_told_with_its_cause(tmp_path: Path) -> None:
    made = converted("gated", tmp_path)
    told = {cause.node: cause.followers for cause in made.causes}
    assert told == {"silu": (), "softmax": ("relu", "twice")}
    for cause in made.causes:
        verdict = made.verdicts[cause.node]
        assert (cause.reason, cause.rule) == (verdict.reason, verdict.rule)
        assert cause.rule not in {"FED-BY-BPU", "PASSIVE-TAIL", "GATE"}
    names = [name for cause in made.causes for name in (cause.node, *cause.followers)]
    parts = (part for part in made.network.parts if part.place is Place.CPU)
    on_cpu = [op.name for p in parts for op in p.ops if isinstance(op, (OnnxOp, QLut))]
    assert sorted(names) == sorted(on_cpu)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the model `gated`."""
    monkeypatch.chdir(tmp_path)
    onnx.save(gated(), tmp_path / "gated.onnx")
    return tmp_path


def test_checker_ends_with_the_whole_model(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["checker", "--model-type", "onnx", "--model", "gated.onnx"])
    assert done.exit_code == 0, done.output
    reasons, _, rest = done.stdout.partition("The converted model node information")
    assert "Layer silu\n" in reasons
    assert "        so is what follows it: relu, twice\n" in reasons
    assert reasons.count("Layer ") == 2
    lines = rest[rest.index("Whole model, estimated for a simulated x3m (O0)") :].splitlines()
    assert lines[1].startswith("  one thread ")
    assert lines[3].endswith("; 2 subgraphs")
    groups = [line.split(" ms  ")[1] for line in lines[5:9]]
    assert groups[0].startswith("4 operators, softmax: ")
    assert groups[1].startswith("1 operator, silu: look-up of ")
    assert lines[-1].endswith("End model checking....")


def test_checker_as_json(folder: Path) -> None:
    arguments = ["checker", "--model-type", "onnx", "--model", "gated.onnx", "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert "Begin model checking" in done.stderr
    cost = found["estimate"]
    assert cost["device"] == "simulated"
    parts_ms = cost["bpu_ms"] + cost["cpu_ms"] + cost["submit_ms"]
    assert parts_ms == pytest.approx(cost["latency_ms"])
    assert len(cost["subgraphs"]) == 2
    operators_ms = sum(each["latency_ms"] for each in cost["cpu_operators"])
    assert operators_ms == pytest.approx(cost["cpu_ms"])
    assert sum(each["latency_ms"] for each in cost["cpu_groups"]) == pytest.approx(cost["cpu_ms"])
    assert {cause["node"] for cause in found["causes"]} == {"silu", "softmax"}
    on_cpu = {node["name"] for node in found["nodes"] if node["on"] == "CPU"}
    assert on_cpu == {"silu", "softmax", "relu", "twice"}
    (model,) = container.load(folder / ".hb_check" / "checker_hybrid_horizonrt.bin")
    assert [each["name"] for each in cost["subgraphs"]] == [p.name for p, _ in model.bpu_parts]


def test_a_failure_leaves_no_json(folder: Path) -> None:
    arguments = ["checker", "--model-type", "onnx", "--model", "absent.onnx", "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "cannot read the model" in done.stderr
