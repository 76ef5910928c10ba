"""`make demo`: from a float ONNX file to faces found by a simulated board, step by step.

Nothing is canned: the model and the photo are files that can be replaced (`--model`, `--image`),
and every step is the public command that a user would type. What was converted once is not
converted again for another photo.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import openbpu
from bpu_common.errors import BoardUnreachable, BpuError, InputError
from bpu_common.pictures import read_picture, resize
from bpu_common.tensor import U8
from demo import centerface, fetch, floatrun, kept
from demo.steps import SCRIPTS, command, step
from demo.subject import CHANNELS, Subject, Wishes, parse_size, read_subject

F32 = NDArray[np.float32]
DETECTOR_SIZE = (512, 512)
AGENT_START_S = 60
START_S = time.monotonic()


def write_config(subject: Subject, folder: Path) -> Path:
    """The YAML a user would write for this conversion."""
    has_mean, has_scale = bool(subject.mean), bool(subject.scale)
    norm = {
        (False, False): "no_preprocess",
        (True, False): "data_mean",
        (False, True): "data_scale",
        (True, True): "data_mean_and_scale",
    }[has_mean, has_scale]
    lines = [
        "model_parameters:",
        f"  onnx_model: '{subject.path}'",
        "  march: 'bernoulli2'",
        "  output_model_file_prefix: 'demo'",
        "  working_dir: 'model_output'",
        "input_parameters:",
        f"  input_name: '{subject.input_name}'",
        f"  input_shape: '{subject.shape_text}'",
        f"  input_type_train: '{subject.train_type}'",
        f"  input_layout_train: '{subject.layout}'",
        f"  input_type_rt: '{subject.runtime_type}'",
        f"  norm_type: '{norm}'",
        *([f"  mean_value: '{subject.mean}'"] if has_mean else []),
        *([f"  scale_value: '{subject.scale}'"] if has_scale else []),
        "calibration_parameters:",
        "  cal_data_dir: 'photos'",
        "  preprocess_on: True",
        "  calibration_type: 'default'",
        "compiler_parameters:",
        "  compile_mode: 'latency'",
        "  optimize_level: 'O3'",
    ]
    path = folder / "demo.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def wait_until_answering(address: str, agent: subprocess.Popen[bytes], folder: Path) -> None:
    """Return when the agent answers.

    Raises:
        BoardUnreachable: it ended, or stays silent.
    """
    deadline_s = time.monotonic() + AGENT_START_S
    while time.monotonic() < deadline_s and agent.poll() is None:
        try:
            with openbpu.Board(address):
                return
        except BoardUnreachable:
            time.sleep(0.1)
    said = (folder / "agent.console.txt").read_text()
    raise BoardUnreachable(f"the agent did not start:\n{said}")


@contextmanager
def running_agent(folder: Path) -> Iterator[str]:
    """A simulated board: `bpu-agent` on a unix socket in `folder`."""
    socket = folder / "agent.sock"
    socket.unlink(missing_ok=True)
    address = f"unix:{socket}"
    if len(str(socket)) > 100:
        address = "127.0.0.1:50551"
    print(f"  $ bpu-agent --listen {address} --store {folder.name}/store")
    log = (folder / "agent.console.txt").open("w")
    agent = subprocess.Popen(
        [SCRIPTS / "bpu-agent", "--listen", address, "--store", folder / "store"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until_answering(address, agent, folder)
        yield address
    finally:
        agent.terminate()
        agent.wait(20)
        log.close()


def report(subject: Subject, photo: U8, outputs: list[F32], target: Path) -> None:
    """Say and draw what the outputs mean; compare with the float model on the same pixels."""
    float_outputs = floatrun.run(subject, resize(photo, subject.size_hw))
    if not centerface.looks_like_centerface(outputs):
        for index, (value, reference) in enumerate(zip(outputs, float_outputs, strict=True)):
            cosine = floatrun.cosine(value, reference)
            best = np.argsort(value.ravel())[::-1][:5]
            told = f"cosine to float {cosine:.4f}, top {len(best)} {best}"
            print(f"  output {index} {value.shape}: {told}")
        return
    faces, expected = centerface.decode(outputs), centerface.decode(float_outputs)
    centerface.draw(Image.fromarray(photo), faces, subject.size_hw).save(target)
    if not faces:
        print(f"  no face (the float model finds {len(expected)}); {target} written")
        return
    print(f"  {len(faces)} face{'s' if len(faces) > 1 else ''} found")
    for face in faces:
        overlap = max((centerface.iou(face.box_ltrb, e.box_ltrb) for e in expected), default=0.0)
        box = ", ".join(f"{v:.0f}" for v in face.box_ltrb)
        print(f"    box ({box}) score {face.score:.3f}, IoU with the float model {overlap:.3f}")
    print(f"  {target} written")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="another ONNX file with one image input")
    parser.add_argument("--image", type=Path, help="another photo")
    parser.add_argument("--size", default="", help="HEIGHTxWIDTH, where the model leaves it open")
    parser.add_argument("--train-type", default="", choices=["", *CHANNELS])
    parser.add_argument("--mean", default="", help="per channel, separated by spaces")
    parser.add_argument("--scale", default="", help="per channel, separated by spaces")
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    parser.add_argument("--threads", default="4", help="threads of the perf run")
    return parser.parse_args()


SHOWN = ("Select", "Whole model", "one thread", "all cores", "successfully", "WARNING")
"""In the lines of a conversion that are shown: the method, and the estimate, marked as one."""


def convert(subject: Subject, folder: Path) -> None:
    """The `.bin` of the subject, made now or before."""
    config = write_config(subject, folder)
    warned = kept.warnings(folder, subject.path, config)
    if warned is not None:
        print("\n  converted before: model_output/demo.bin is of this model and these choices")
        for line in warned:
            print(f"    {line}")
        return
    with step("Check which operators run on the BPU"):
        table = command(
            ["hb_mapper", "checker", "--model-type", "onnx", "--march", "bernoulli2",
             "--model", str(subject.path), "--input-shape", subject.input_name,
             subject.shape_text], folder, show=("WARNING", "output num"),
        )  # fmt: skip
        on_bpu = len(re.findall(r" BPU +id\(", table))
        on_cpu = len(re.findall(r" CPU +-- ", table))
        print(f"    {on_bpu} nodes on the BPU, {on_cpu} on the CPU")
    with step(f"Calibrate, quantize to int8 and compile for {subject.runtime_type} input"):
        told = command(
            ["hb_mapper", "makertbin", "--model-type", "onnx", "--config", config.name],
            folder,
            show=SHOWN,
        )
    warned = [line for line in told.splitlines() if " WARNING " in line]
    kept.remember(folder, subject.path, config, warned)


def show(options: argparse.Namespace) -> None:
    """All steps.

    Raises:
        BpuError: one failed.
    """
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wishes = Wishes(
        parse_size(options.size) if options.size else None,
        options.train_type,
        options.mean,
        options.scale,
    )
    image = (options.image or fetch.photo_folder() / fetch.FACE_PHOTO).resolve()
    photo = read_picture(image)
    if options.model:
        if not options.model.is_file():
            raise InputError("is not a file", where=str(options.model))
        subject = read_subject(options.model.resolve(), wishes)
    with step("Fetch photos to calibrate with" if options.model else "Fetch a face detector"):
        if not options.model:
            wishes = Wishes(DETECTOR_SIZE, wishes.train_type, wishes.mean, wishes.scale)
            subject = fetch.detector(folder, wishes)
        fetch.collect_photos(folder / "photos")
        print(f"  {subject.path.name}: input {subject.input_name} {subject.shape_text}")
    convert(subject, folder)
    with step("Start a simulated board, deploy, measure"), running_agent(folder) as address:
        command(["bpu", "deploy", "model_output/demo.bin", "--board", address], folder)
        command(["bpu", "perf", "demo", "--board", address, "--threads", options.threads], folder)
        with step(f"Infer {image.name} on the board"), openbpu.Board(address) as board:
            outputs = [np.asarray(value) for value in board.infer("demo", photo).values()]
    with step("Read the result"):
        report(subject, photo, outputs, folder / f"{image.stem}_faces.png")


def main() -> int:
    options = parse()
    os.environ.setdefault("COLUMNS", "120")
    try:
        show(options)
    except BpuError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    print(f"\nDone in {time.monotonic() - START_S:.0f} s. Files are in {options.output}/.")
    print("Your own model, step by step: docs/your-model.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
