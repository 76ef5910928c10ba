"""What hrt_model_exec prints and writes, through its real entry point."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_board.cli.hrt_model_exec import main
from bpu_board.cli.hrt_model_exec.dump import as_text
from bpu_common.engine import engine_line
from bpu_common.image import encode_rgb
from bpu_common.program import FunctionCall
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from bpu_sim.kernels.choice import choose_engine
from tests.support.console_board import fail, picture, run, write
from tests.support.models_board import (
    HEIGHT,
    WIDTH,
    expected_codes,
    feature_model,
    image_input,
    tiny_model,
    with_inputs,
    with_program,
)

FLOAT = r"\d+\.\d{6}"


MODEL_INFO = """\
This model file has 1 model:
[net]
---------------------------------------------------------------------
[model name]: net

stage count: 1
input[0]:
name: data
input source: HB_DNN_INPUT_FROM_DDR
valid shape: (1,3,8,16,)
aligned shape: (1,3,8,16,)
aligned byte size: 192
tensor type: HB_DNN_IMG_TYPE_NV12
tensor layout: HB_DNN_LAYOUT_NCHW
quanti type: NONE
stride: (0,0,0,0,)
stage[0]: (0, 0, 15, 7)

output[0]:
name: codes
valid shape: (1,8,16,8,)
aligned shape: (1,8,16,8,)
aligned byte size: 4096
tensor type: HB_DNN_TENSOR_TYPE_S32
tensor layout: HB_DNN_LAYOUT_NHWC
quanti type: SCALE
stride: (4096,512,32,4,)
scale data: 0.001,0.002,0.003,0.004,0.005,0.006,0.007,0.008,
quantizeAxis: 3

---------------------------------------------------------------------
Engine: {engine}
hbDNNRelease success!
"""


def test_model_info(folder, capsys):
    wanted = MODEL_INFO.format(engine=engine_line(choose_engine().about))
    assert run(capsys, "model_info", "--model_file=m.bin") == wanted


def test_model_info_of_a_pack(folder, capsys):
    out = run(capsys, "model_info", "--model_file=pack.bin,m.bin")
    assert out.startswith("This model file has 3 model:\n[one]\n[two]\n[net]\n")
    assert out.count("[model name]: ") == 3
    one = run(capsys, "model_info", "--model_file=pack.bin", "--model_name=two")
    assert re.findall(r"\[model name\]: (\w+)", one) == ["two"]


def test_model_info_json(folder, capsys):
    report = json.loads(run(capsys, "model_info", "--model_file=c.bin", "--json"))
    assert report[0]["inputs"][0]["tensor_type"] == "HB_DNN_IMG_TYPE_RGB"
    assert report[0]["inputs"][0]["valid_shape"] == [1, 8, 16, 3]
    assert report[0]["outputs"][0]["tensor_type"] == "HB_DNN_TENSOR_TYPE_F32"


def test_model_info_of_other_inputs(folder, capsys):
    model = tiny_model("gray")
    spec = TensorSpec("data", (1, 8, 20, 1), DType.INT8, Layout.NHWC)
    gray = ModelInput(spec, InputType.GRAY, Layout.NCHW)
    feature = ModelInput(
        TensorSpec("features", (1, 4, 8, 16), DType.FLOAT32, Layout.NCHW),
        InputType.FEATUREMAP,
        Layout.NCHW,
    )
    from bpu_board.cli.hrt_model_exec.info import info_text

    text = info_text(with_inputs(model, gray, feature))
    assert "tensor type: HB_DNN_IMG_TYPE_Y\n" in text
    assert "aligned shape: (1,1,8,32,)\naligned byte size: 256\n" in text
    assert "tensor type: HB_DNN_TENSOR_TYPE_F32\ntensor layout: HB_DNN_LAYOUT_NCHW\n" in text
    assert "stride: (2048,512,64,4,)" in text


INFER = """\
get model handle success
get model input count success
file length: 192
read file success!
get model output count success
prepare output tensor success
infer success
task done

------------------------------------------
Infer time: TIME ms
------------------------------------------
Device: x3m (simulated, virtual clock: modelled times)
Engine: {engine}
hbDNNRelease success!
"""


def test_infer(folder, capsys):
    out = run(capsys, "infer", "--model_file=m.bin", "--input_file=raw.bin")
    wanted = INFER.format(engine=engine_line(choose_engine().about))
    assert re.sub(r"\d+\.\d{3} ms", "TIME ms", out) == wanted


@pytest.mark.parametrize(
    "words", [("model_info",), ("perf", "--frame_count=2"), ("infer", "--input_file=raw.bin")]
)
def test_every_command_says_what_computes(folder, capsys, monkeypatch, words):
    monkeypatch.setenv("BPU_KERNELS", "reference")
    told = run(capsys, *words, "--model_file=m.bin")
    assert "\nEngine: reference arithmetic: BPU_KERNELS asks for it\n" in told
    report = json.loads(run(capsys, *words, "--model_file=m.bin", "--json"))
    (report,) = report if isinstance(report, list) else [report]
    assert report["engine"] == {
        "name": "reference", "reason": "BPU_KERNELS asks for it", "not_run": [],
    }  # fmt: skip
    monkeypatch.setenv("BPU_KERNELS", "best")
    assert "there are no kernels called 'best'" in fail(capsys, *words, "--model_file=m.bin")


def test_infer_time_is_device_time(folder, capsys):
    words = ("infer", "--model_file=m.bin", "--input_file=raw.bin", "--frame_count=3")
    out = run(capsys, *words)
    times = re.findall(r"Infer time: (\S+) ms", out)
    assert len(times) == 3
    assert len(set(times)) == 1
    report = json.loads(run(capsys, *words, "--json"))
    assert [f"{value:.3f}" for value in report["infer_time_ms"]] == times


@pytest.mark.parametrize("name", ["photo.png", "photo.JPG"])
def test_pictures_are_resized_and_encoded(folder, capsys, name):
    big = np.kron(picture(), np.ones((4, 4, 1), np.uint8))
    Image.fromarray(big).save(name)
    run(capsys, "infer", "--model_file=m.bin", f"--input_file={name}", "--enable_dump=true")
    with Image.open(name) as opened:
        small = np.asarray(opened.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    wanted = encode_rgb(small, image_input(InputType.NV12))
    assert Path("model_infer_input_0.bin").read_bytes() == wanted.tobytes()


def test_dump_bin_and_txt(folder, capsys):
    words = ("infer", "--model_file=m.bin", "--input_file=raw.bin", "--enable_dump")
    run(capsys, *words)
    raw = np.arange(192, dtype=np.uint8)
    codes = expected_codes(raw, image_input(InputType.NV12))
    assert Path("model_infer_input_0.bin").read_bytes() == raw.tobytes()
    assert Path("model_infer_output_0.bin").read_bytes() == codes.tobytes()
    run(capsys, *words, "--dump_format=txt", "--dump_txt_axis=3")
    lines = Path("model_infer_output_0.txt").read_text().splitlines()
    assert len(lines) == HEIGHT * WIDTH
    assert [int(word) for word in lines[0].split()] == codes[0, 0, 0].tolist()


def test_dump_dequantized(folder, capsys):
    words = ("infer", "--model_file=m.bin", "--input_file=raw.bin", "--enable_dump")
    run(capsys, *words, "--hybrid_dequantize_process=true", "--dump_precision=3")
    codes = expected_codes(np.arange(192, dtype=np.uint8), image_input(InputType.NV12))
    lines = Path("model_infer_output_0.txt").read_text().splitlines()
    wanted = (codes.astype(np.float32) * 0.001 * np.arange(1, 9, dtype=np.float32)).reshape(-1)
    assert len(lines) == wanted.size
    np.testing.assert_allclose([float(line) for line in lines], wanted, atol=0.0006, rtol=1e-5)
    assert all(re.fullmatch(r"-?\d+\.\d{3}", line) for line in lines)


def test_text_form():
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert as_text(array, 4, 1) == "0.0\n1.0\n2.0\n3.0\n4.0\n5.0\n"
    assert as_text(array, 2, 0) == "0 1 2\n3 4 5\n"
    assert as_text(array.astype(np.int8), 0, 9) == "0 1 2 3 4 5\n"


@pytest.mark.parametrize(
    ("level", "kinds"), [(1, ["bin"]), (2, ["bin", "txt"]), (3, ["bin", "txt"])]
)
@pytest.mark.parametrize("command", ["infer", "perf"])
def test_dump_intermediate(folder, capsys, command, level, kinds):
    Path("in.bin").write_bytes(picture().tobytes())
    options = ("--model_file=c.bin", "--input_file=in.bin", f"--dump_intermediate={level}")
    run(capsys, command, *options, "--frame_count=1")
    found = sorted(path.name for path in Path().glob("classes_*"))
    stems = (
        "classes_cpu_0_input_0_codes",
        "classes_cpu_0_output_0_prob",
        "classes_subgraph_0_input_0_data",
        "classes_subgraph_0_output_0_codes",
    )
    assert found == sorted(f"{stem}.{kind}" for stem in stems for kind in kinds)
    codes = expected_codes(picture()[None], image_input())
    assert Path("classes_subgraph_0_output_0_codes.bin").read_bytes() == codes.tobytes()


def test_padding_of_dumped_bpu_outputs(folder, capsys):
    model = tiny_model("net", InputType.NV12)
    codes = replace(model.outputs[0], aligned_shape=(1, HEIGHT, 32, 8))
    from bpu_board.cli.hrt_model_exec.dump import aligned

    array = expected_codes(np.arange(192, dtype=np.uint8), image_input(InputType.NV12))
    padded = aligned(array, codes)
    assert padded.shape == (1, HEIGHT, 32, 8)
    np.testing.assert_array_equal(padded[:, :, :WIDTH], array)
    assert not padded[:, :, WIDTH:].any()


def test_classification(folder, capsys):
    Path("in.bin").write_bytes(picture().tobytes())
    words = ("infer", "--model_file=c.bin", "--input_file=in.bin", "--enable_cls_post_process")
    lines = re.findall(r"class result: \[id\](\d+), \[score\](\d\.\d{4})", run(capsys, *words))
    assert len(lines) == 5
    assert [score for _, score in lines] == sorted((s for _, s in lines), reverse=True)
    report = json.loads(run(capsys, *words, "--json"))
    assert [str(each["id"]) for each in report["classes"]] == [index for index, _ in lines]


def test_exact(folder, capsys):
    out = run(capsys, "infer", "--model_file=m.bin", "--input_file=raw.bin", "--exact")
    assert "exact: 1024 values of the fast path equal the instructions'" in out
    assert "Perf result" in run(capsys, "perf", "--model_file=m.bin", "--exact", "--frame_count=2")


def test_exact_finds_a_faulty_program(folder, capsys):
    model = tiny_model("net")
    [(_, made)] = model.bpu_parts
    program = made.program
    load, *others = program.calls[1].instructions
    again = FunctionCall.on_one_core("again", (replace(load, row0=0), *others))
    program = replace(program, calls=(program.calls[0], again))  # the picture's upper half, twice
    write(folder / "broken.bin", with_program(model, program))
    err = fail(capsys, "perf", "--model_file=broken.bin", "--exact")
    assert re.search(r"output codes of net_subgraph_0: \d+ of 1024 values differ", err)


def test_featuremap_inputs(folder, capsys):
    write(folder / "f.bin", feature_model())
    values = np.linspace(-1, 1, 8, dtype=np.float32)
    Path("f.txt").write_text(", ".join(str(v) for v in values))
    Path("fm.bin").write_bytes(values.tobytes())
    for name in ("f.txt", "fm.bin"):
        words = ("--model_file=f.bin", f"--input_file={name}", "--enable_dump")
        run(capsys, "infer", *words)
        got = np.frombuffer(Path("model_infer_output_0.bin").read_bytes(), np.float32)
        np.testing.assert_allclose(got, np.exp(values) / np.exp(values).sum(), rtol=1e-5)
    Path("short.txt").write_text("1 2 3")
    Path("words.txt").write_text("one two")
    assert "takes 8 numbers, the file holds 3" in fail(
        capsys, "infer", "--model_file=f.bin", "--input_file=short.txt"
    )
    assert "not a number" in fail(capsys, "infer", "--model_file=f.bin", "--input_file=words.txt")
    assert "is a featuremap" in fail(
        capsys, "infer", "--model_file=f.bin", "--input_file=photo.png"
    )
    assert "handles models with 4 only" in fail(
        capsys,
        "infer",
        "--model_file=f.bin",
        "--input_file=f.txt",
        "--enable_dump",
        "--hybrid_dequantize_process",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["perf", "--model_file=gone.bin"], "cannot read the model file"),
        (["perf", "--model_file=,"], "names no file"),
        (["perf", "--model_file=photo.png"], "error: photo.png"),
        (["perf", "--model_file=short.bin"], "error: short.bin"),
        (["perf", "--model_file=."], "error: "),
        (["perf", "--model_file=pack.bin"], "one of one, two"),
        (["perf", "--model_file=pack.bin", "--model_name=three"], "no model 'three'"),
        (["perf", "--model_file=m.bin,m.bin"], "2 times"),
        (["infer", "--model_file=m.bin"], "needs --input_file"),
        (["infer", "--model_file=m.bin", "--input_file=gone.jpg"], "gone.jpg"),
        (["infer", "--model_file=m.bin", "--input_file=gone.bin"], "cannot read the input file"),
        (["infer", "--model_file=m.bin", "--input_file=m.bin"], "nv12 16x8 (192 bytes of uint8)"),
        (["infer", "--model_file=m.bin", "--input_file=raw.bin,raw.bin"], "2 file(s) are given"),
        (["infer", "--model_file=m.bin", "--input_file=a.gif"], ".gif is not a kind of picture"),
        (["infer", "--model_file=m.bin", "--input_file=n.txt"], "takes a picture or raw bytes"),
        (["infer", "--model_file=m.bin", "--input_file=bad.jpg"], "cannot be read as a picture"),
        (["infer", "--model_file=m.bin", "--input_file=raw.bin", "--roi_infer"], "resizer inputs"),
        (["perf", "--model_file=m.bin", "--roi=2,4,123,125"], "resizer inputs"),
        (
            ["infer", "--model_file=m.bin", "--input_file=raw.bin", "--enable_cls_post_process"],
            "not a classifier",
        ),
        (
            ["infer", "--model_file=m.bin", "--input_file=raw.bin", "--hybrid_dequantize_process"],
            "only with --enable_dump",
        ),
        (["perf", "--model_file=m.bin", "--profile_path=photo.png"], "cannot write the profile"),
        (["perf", "--model_file=m.bin", "--core_id=7"], "[0,2]"),
        (["run", "--model_file=m.bin"], "unknown sub-command"),
    ],
)
def test_errors_are_sentences(folder, capsys, words, message):
    Path("short.bin").write_bytes(Path("m.bin").read_bytes()[:-100])
    Path("n.txt").write_text("1 2 3")
    Path("bad.jpg").write_bytes(b"\xff\xd8 this is no jpeg")
    assert message in fail(capsys, *words)


def test_roi_false_is_fine(folder, capsys):
    run(capsys, "perf", "--model_file=m.bin", "--frame_count=1", "--roi_infer=false", "--roi=")


def test_option_without_effect_is_noted(folder, capsys):
    main(["perf", "--model_file=m.bin", "--frame_count=1", "--enable_dump"])
    assert "note: --enable_dump has no effect on perf" in capsys.readouterr().err


def test_without_pillow_the_message_says_what_to_do(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    err = fail(capsys, "infer", "--model_file=m.bin", "--input_file=photo.png")
    assert "needs Pillow" in err
    assert "openbpu-board[images]" in err


def test_real_process(folder):
    """Exit status, streams and a closed pipe, as a shell sees them."""
    command = [sys.executable, "-m", "bpu_board.cli.hrt_model_exec"]
    good = subprocess.run(
        [*command, "perf", "--model_file=m.bin"], capture_output=True, text=True, check=False
    )
    assert (good.returncode, good.stdout.count("Perf result:")) == (0, 1)
    line = r"\[OpenBPU\] Load model to DDR cost \d+\.\d{3}ms \(wall time of this computer\)\.\n"
    assert re.fullmatch(line, good.stderr)
    bad = subprocess.run(
        [*command, "perf", "--model_file=x.bin"], capture_output=True, text=True, check=False
    )
    assert (bad.returncode, bad.stdout) == (2, "")
    piped = subprocess.run(
        f"{sys.executable} -m bpu_board.cli.hrt_model_exec --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (piped.stdout, piped.stderr) == ("Usage:\n", "")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bpu_board.cli.hrt_model_exec import main; main(['--help']);"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'onnxruntime', 'grpc', 'psutil')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
