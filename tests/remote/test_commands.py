"""The `bpu` command as users meet it: output, files, exit statuses, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_common import __version__, container, image
from bpu_common.perf import InferResult, NodeProfile, PerfProgress, PerfRequest, TimeStat
from bpu_common.tensor import InputType
from bpu_host.cli.bpu import COMMANDS, main
from bpu_host.cli.bpu_perf import profile_lines
from bpu_host.cli.bpu_run import _save
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.models_board import HEIGHT, WIDTH, expected_codes, image_input, tiny_model

NV12 = image_input(InputType.NV12)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, a photo twice as big as their input, the input as .npy and raw bytes."""
    root = tmp_path_factory.mktemp("files")
    for name, kind in (("tiny", InputType.NV12), ("scores", InputType.RGB)):
        model = tiny_model(name, kind, classify=name == "scores")
        (root / f"{name}.bin").write_bytes(container.dump([model]))
    rgb = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    photos = root / "photos"
    photos.mkdir()
    Image.fromarray(rgb).resize((WIDTH * 2, HEIGHT * 2), Image.Resampling.NEAREST).save(
        photos / "a.png"
    )
    Image.fromarray(rgb).save(photos / "b.png")
    (photos / "notes.txt").write_text("not an input")
    np.save(root / "in.npy", image.encode_rgb(rgb, NV12))
    (root / "in.bin").write_bytes(image.encode_rgb(rgb, NV12).tobytes())
    return root


class Outcome:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        assert "Traceback" not in err


@pytest.fixture
def bpu(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def at(agent: Agent, folder: Path, bpu) -> tuple[str, str]:
    for name in ("tiny", "scores"):
        assert bpu("deploy", folder / f"{name}.bin", "--board", agent.address).status == 0
    return ("--board", agent.address)


def test_deploy_says_what_it_did(bpu, agent: Agent, folder: Path, tmp_path: Path) -> None:
    board = ("--board", agent.address)
    other = tmp_path / "net.bin"
    other.write_bytes(container.dump([tiny_model("once")]))
    first = bpu("deploy", other, *board)
    assert first.status == 0
    assert f"deployed once ({other.stat().st_size} bytes" in first.out
    assert "uploading: 100 %" in first.err
    again = bpu("deploy", other, *board)
    assert "already" in again.out
    assert again.err == ""
    as_json = json.loads(bpu("deploy", other, *board, "--json").out)
    assert as_json["digest"] == container.digest(other)
    assert as_json["sent_bytes"] == 0
    assert bpu("remove", "once", *board).out == "removed once\n"
    assert bpu("remove", "once", *board).status == 1


def test_models(bpu, at: tuple[str, str]) -> None:
    listed = bpu("models", *at)
    assert "tiny" in listed.out
    assert "scores" in listed.out
    names = {entry["name"] for entry in json.loads(bpu("models", *at, "--json").out)["models"]}
    assert names == {"tiny", "scores"}
    described = bpu("models", "scores", *at)
    assert "input data: rgb 1x8x16x3 NHWC, 384 bytes of uint8" in described.out
    assert "output prob: float32 1x8" in described.out
    detail = json.loads(bpu("models", "tiny", *at, "--json").out)
    assert detail["inputs"][0]["shape"] == [192]
    assert detail["outputs"][0]["dtype"] == "int32"


@pytest.mark.parametrize("name", ["in.npy", "in.bin", "photos/b.png"])
def test_run_gives_the_same_bits_for_every_form_of_input(
    bpu, at: tuple[str, str], folder: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    done = bpu("run", "tiny", folder / name, *at, "--output", out)
    assert done.status == 0, done.err
    stem = Path(name).stem
    expected = expected_codes(np.load(folder / "in.npy"), NV12)
    np.testing.assert_array_equal(np.load(out / f"{stem}_codes.npy"), expected)
    assert [path.name for path in out.iterdir()] == [f"{stem}_codes.npy"]


def test_run_on_a_folder(bpu, at: tuple[str, str], folder: Path) -> None:
    done = bpu("run", "scores", folder / "photos", *at, "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["input"] for line in lines] == ["a", "b"]
    for line in lines:
        assert sum(line["outputs"][0]["values"]) == pytest.approx(1, abs=1e-3)
        assert line["latency_ns"] > 0
        assert (line["device"], line["clock"]) == ("simulated", "virtual")
    shown = bpu("run", "scores", folder / "photos", *at)
    assert " ms on x3m (simulated, virtual clock)" in shown.out
    assert "largest [" in shown.out


def test_labels_and_the_board_that_is_meant(
    bpu, at: tuple[str, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"kind {index}" for index in range(8)))
    monkeypatch.setenv("BPU_BOARD", at[1])
    photo = folder / "photos" / "a.png"
    done = bpu("run", "scores", photo, "--labels", labels, "--fit", "letterbox")
    assert done.status == 0, done.err
    assert "largest kind " in done.out
    told = json.loads(bpu("run", "scores", photo, "--labels", labels, "--json").out)
    assert told["outputs"][0]["labels"][7] == "kind 7"
    assert bpu("run", "scores", photo, "--labels", tmp_path / "none").status == 2


def test_perf(bpu, at: tuple[str, str], folder: Path) -> None:
    done = bpu("perf", "tiny", *at, "--threads", 4, "--frames", 400, "--profile")
    assert done.status == 0, done.err
    assert "tiny on x3m (simulated, virtual clock): 400 frames, 4 threads" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "frames/s" in done.out
    assert "BPU_tiny_subgraph_0" in done.out
    assert "measuring: 100 %" in done.err
    told = json.loads(
        bpu("perf", "tiny", *at, "--input", folder / "in.bin", "--json", "--frames", 10).out
    )
    assert told["frame_count"] == 10
    assert (told["device"], told["clock"], told["stopped"]) == ("simulated", "virtual", False)
    assert told["fps"] == pytest.approx(10 * 1e9 / told["run_time_ns"])


def test_perf_of_one_thread_has_no_jitter_and_says_so(bpu, at: tuple[str, str]) -> None:
    done = bpu("perf", "tiny", *at, "--frames", 1)
    assert "1 frame, 1 thread, core any" in done.out
    assert "simulated: without jitter" in done.out


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_ctrl_c_in_perf_tells_what_the_reports_told(
    bpu, at: tuple[str, str], monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    def interrupted(
        _: Board, _request: PerfRequest, report: Callable[[PerfProgress], None]
    ) -> None:
        for done, average_ns, most_ns in ((200, 10.0, 12), (600, 40.0, 50)):
            report(PerfProgress(done, 1000, done * 30, average_ns, most_ns, 9))
        raise KeyboardInterrupt

    monkeypatch.setattr(Board, "perf", interrupted)
    done = bpu("perf", "tiny", *at, *form)
    assert done.status == 130
    if form:
        told = json.loads(done.out)
        assert (told["stopped"], told["frame_count"]) == (True, 600)
        assert (told["device"], told["clock"]) == ("simulated", "virtual")
        assert (told["average_ns"], told["min_ns"], told["max_ns"]) == (30.0, 9, 50)
        assert told["fps"] == pytest.approx(1e9 / 30)
    else:
        assert "(simulated, virtual clock): stopped by the user, 600 frames until" in done.out
    monkeypatch.setattr(Board, "perf", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert bpu("perf", "tiny", *at, *form).out == ""


def test_a_profile_is_sorted_shared_and_summed() -> None:
    nodes = {f"node{index:02}": TimeStat(index * 1e6, index * 2_000_000, 0) for index in range(13)}
    whole = {"BPU_inference_time_cost": TimeStat(78e6, 78_000_000, 0)}
    lines = profile_lines(NodeProfile(whole, nodes, {}))
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["78.000", "78.000", "BPU_inference_time_cost"]
    assert lines[2].split() == ["12.000", "24.000", "15.4", "%", "node12"]
    assert [line.split()[-1] for line in lines[2:12]] == [f"node{n:02}" for n in range(12, 2, -1)]
    assert lines[12].split() == ["3.000", "3.8", "%", "3", "other", "nodes"]
    assert lines[13].split() == ["78.000", "100.0", "%", "sum", "of", "13", "nodes"]


def test_wrong_inputs_are_one_clear_message(
    bpu, at: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.bin"
    short.write_bytes(bytes(191))
    floats = tmp_path / "floats.npy"
    np.save(floats, np.zeros(192, np.float32))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, says in (
        (short, "191 bytes"),
        (floats, "float32"),
        (broken, "picture"),
        (pickled, "NumPy"),
        (empty, "no pictures"),
        (tmp_path / "missing.jpg", "no such file"),
    ):
        done = bpu("run", "tiny", path, *at, "--output", tmp_path / "none")
        assert done.status == 2, (path, done.err)
        assert done.err.startswith("error: ")
        assert says in done.err
        assert str(path) in done.err
        assert not (tmp_path / "none").exists() or not list((tmp_path / "none").iterdir())


def test_other_failures(
    bpu, at: tuple[str, str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("BPU_BOARD", raising=False)
    vendor = tmp_path / "vendor.bin"
    vendor.write_bytes(b"\x7fELF" + bytes(100) + b"HBDK")
    for arguments, status, says in (
        (("deploy", vendor, *at), 1, "vendor"),
        (("deploy", tmp_path / "none.bin", *at), 2, "cannot read"),
        (("run", "nothing", folder / "in.bin", *at), 1, "no model 'nothing'"),
        (("perf", "tiny", *at, "--threads", "9"), 2, "1<=x<=8"),
        (("run", "tiny", *at), 2, "INPUT"),
        (
            ("run", "tiny", folder / "in.bin", *at, "--output", "/proc/x"),
            2,
            "cannot make the folder",
        ),
        (("run", "tiny", folder / "in.bin"), 2, "no board is named"),
        (("models", "--board", "nonsense"), 2, "not the address"),
        (
            ("models", "--board", f"unix:{tmp_path}/none"),
            1,
            "no agent answers (No such file or directory)",
        ),
        (("modles",), 2, "did you mean models?"),
        (("perf", "tiny", *at, "--tread", "3"), 2, "--threads"),
    ):
        done = bpu(*arguments)
        assert done.status == status, (arguments, done.err)
        assert done.err.startswith("error: ")
        assert says in done.err


def test_help_of_every_command(bpu) -> None:
    assert bpu("--version").out == f"bpu {__version__}\n"
    top = bpu("--help")
    for name in COMMANDS:
        assert name in top.out
        one = bpu(name, "--help")
        assert one.status == 0
        assert "Examples:" in one.out
        assert "--board" in one.out or name in ("boards", "completion")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom bpu_host.cli.bpu import main\nmain(['--help'])\n"
        "heavy = {'numpy', 'grpc', 'onnx', 'onnxruntime', 'google.protobuf', 'PIL', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"


def test_agent_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom bpu_board.cli.agent import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'grpc', 'onnxruntime'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"
    assert "examples:" in done.stdout


def test_outputs_of_any_name_get_their_own_files(tmp_path: Path) -> None:
    outputs = {name: np.full(3, index) for index, name in enumerate(("a/b", "a_b", "n" * 500))}
    saved = _save(InferResult("net", 1, outputs, 0, 0, 0), tmp_path, "in")
    assert [Path(path).parent for path in saved] == [tmp_path] * 3
    assert [np.load(path)[0] for path in saved] == [0, 1, 2]
