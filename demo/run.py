"""`make demo`: from a float ONNX file to faces found by a simulated board, step by step.

Nothing is canned: the model and the photo are files that can be replaced (`--model`, `--image`),
and every step is the public command that a user would type.
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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bpu_common.errors import BpuError
from bpu_common.image import rgb_to_nv12
from bpu_common.pictures import read_picture, resize
from bpu_common.tensor import U8
from demo import centerface, fetch, floatrun

F32 = NDArray[np.float32]
SCRIPTS = Path(sys.executable).parent
DETECTOR_SHAPE = (1, 3, 512, 512)
AGENT_START_S = 60
START_S = time.monotonic()


@dataclass(frozen=True, slots=True)
class Subject:
    """The network under demonstration and how its pixels are prepared."""

    path: Path
    input_name: str
    shape_nchw: tuple[int, int, int, int]
    train_type: str
    mean: str
    scale: str

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.shape_nchw[2], self.shape_nchw[3]


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a title, what the step prints, and how long it took."""
    print(f"\n\N{BLACK RIGHT-POINTING TRIANGLE} {title}", flush=True)
    start_s = time.monotonic()
    yield
    print(f"  [{time.monotonic() - start_s:.1f} s]", flush=True)


def command(arguments: list[str], folder: Path, *, show: tuple[str, ...] = ()) -> str:
    """Run one of our commands in `folder`; print the lines that contain any word of `show`."""
    print("  $ " + " ".join(arguments), flush=True)
    program = str(SCRIPTS / arguments[0])
    done = subprocess.run(
        [program, *arguments[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (folder / f"{arguments[0]}_{arguments[1]}.console.txt").write_text(done.stdout)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(done.returncode)
    for line in done.stdout.splitlines():
        if not show or any(word in line for word in show):
            print("    " + line)
    return done.stdout


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
        f"  input_shape: '{'x'.join(map(str, subject.shape_nchw))}'",
        f"  input_type_train: '{subject.train_type}'",
        "  input_layout_train: 'NCHW'",
        "  input_type_rt: 'nv12'",
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
    """Return when the agent answers; leave with its own words when it ended or stays silent."""
    from bpu_common.errors import BoardUnreachable
    from bpu_host.remote import Board

    deadline_s = time.monotonic() + AGENT_START_S
    while time.monotonic() < deadline_s and agent.poll() is None:
        try:
            with Board.connect(address) as board:
                board.info()
            return
        except BoardUnreachable:
            time.sleep(0.1)
    sys.exit(f"error: the agent did not start:\n{(folder / 'agent.console.txt').read_text()}")


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


def infer(address: str, subject: Subject, photo: U8) -> list[F32]:
    """Resize the photo, convert it to nv12, run it on the board; outputs in the model's order."""
    from bpu_host.remote import Board

    rgb = resize(photo, subject.size_hw)
    with Board.connect(address) as board:
        result = board.infer("demo", [rgb_to_nv12(rgb)])
    return [np.asarray(value) for value in result.outputs.values()]


def report(subject: Subject, photo: U8, outputs: list[F32], target: Path) -> None:
    """Say and draw what the outputs mean; compare with the float model on the same pixels."""
    rgb = resize(photo, subject.size_hw)
    float_outputs = floatrun.run(subject.path, subject.input_name, subject.shape_nchw, rgb, subject)
    if not centerface.looks_like_centerface(outputs):
        for index, (value, reference) in enumerate(zip(outputs, float_outputs, strict=True)):
            cosine = floatrun.cosine(value, reference)
            best = np.argsort(value.ravel())[::-1][:5]
            print(f"  output {index} {value.shape}: cosine to float {cosine:.4f}, top 5 {best}")
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
    parser.add_argument("--train-type", default="rgb", choices=["rgb", "bgr"])
    parser.add_argument("--mean", default="", help="per channel, separated by spaces")
    parser.add_argument("--scale", default="", help="per channel, separated by spaces")
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    parser.add_argument("--threads", default="4", help="threads of the perf run")
    return parser.parse_args()


def main() -> int:
    options = parse()
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("COLUMNS", "120")
    image = (options.image or fetch.photo_folder() / fetch.FACE_PHOTO).resolve()
    for path in filter(None, (options.model, image)):
        if not path.is_file():
            sys.exit(f"error: {path} is not a file")
    try:
        photo = read_picture(image)
    except BpuError as error:
        sys.exit(f"error: {error}")

    with step("Fetch a trained face detector and photos"):
        model = options.model.resolve() if options.model else fetch.fetch_detector(folder)
        fetch.collect_photos(folder / "photos")
        name, shape = floatrun.image_input(model)
        subject = Subject(
            model, name, shape if options.model else DETECTOR_SHAPE,
            options.train_type, options.mean, options.scale,
        )  # fmt: skip
        print(f"  {model.name}: input {name} {'x'.join(map(str, subject.shape_nchw))}")

    shape_text = "x".join(map(str, subject.shape_nchw))
    with step("Check which operators run on the BPU"):
        table = command(
            ["hb_mapper", "checker", "--model-type", "onnx", "--march", "bernoulli2",
             "--model", str(model), "--input-shape", name, shape_text], folder,
            show=("ERROR", "WARNING", "output num"),
        )  # fmt: skip
        on_bpu = len(re.findall(r" BPU +id\(", table))
        on_cpu = len(re.findall(r" CPU +-- ", table))
        print(f"    {on_bpu} nodes on the BPU, {on_cpu} on the CPU")
    with step("Calibrate, quantize to int8 and compile for nv12 input"):
        config = write_config(subject, folder)
        command(["hb_mapper", "makertbin", "--model-type", "onnx", "--config", config.name],
                folder, show=("Select", "FPS=", "successfully", "ERROR"))  # fmt: skip
    with step("Start a simulated board, deploy, measure"), running_agent(folder) as address:
        command(["bpu", "deploy", "model_output/demo.bin", "--board", address], folder)
        command(["bpu", "perf", "demo", "--board", address, "--threads", options.threads], folder)
        with step(f"Infer {image.name} on the board"):
            outputs = infer(address, subject, photo)
    with step("Read the result"):
        report(subject, photo, outputs, folder / f"{image.stem}_faces.png")
    print(f"\nDone in {time.monotonic() - START_S:.0f} s. Files are in {options.output}/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
