"""What conversions give: digests of outputs, sizes and costs, to hold two versions side by side.

Every network is converted by `hb_mapper makertbin` (nv12 input, calibrated on seeded noise) and run
by `hrt_model_exec infer` on three seeded pictures; the quantized ONNX runs in stock onnxruntime on
the same pictures. Nothing but the commands is used, so that this file can be copied into an older
tree and run there: a digest that differs between two trees is a change of the numbers.

    python -m benchmarks.digests [--models FOLDER] [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import yaml
from numpy.typing import NDArray

from benchmarks.networks import NETWORKS

SAMPLES = 4
PICTURES = 3
SMOOTHING = 8
"""Pictures of even seeds are noise in blocks of this many pixels, so that sums grow large."""

TRAINED_ON: dict[str, tuple[str, str, str]] = {
    "efficientnet-lite0_224": ("rgb", "127", "0.0078125"),
    "squeezenet1.1_224": ("bgr", "104 117 123", "1"),
    "centerface_512": ("rgb", "0", "1"),
}
"""Pixel type, mean and scale by file name; everything else is taken as `REBUILT`."""
REBUILT = ("bgr", "103.94 116.78 123.68", "0.017")


@dataclass(frozen=True, slots=True)
class Found:
    """One converted network.

    Attributes:
        outputs: sha256 of the dumped outputs of the `.bin`, all pictures in turn.
        quantized: sha256 of the outputs of the quantized ONNX.
        bin_size_bytes: size of the `.bin`.
        bpu_ms: simulated BPU time of one frame.
    """

    outputs: str
    quantized: str
    bin_size_bytes: int
    bpu_ms: float


def pixels(size_hw: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): fine noise for odd seeds, coarse noise for even ones."""
    random = np.random.default_rng(seed)
    block = 1 if seed % 2 else SMOOTHING
    small = random.integers(0, 256, (*(-(-size // block) for size in size_hw), 3), np.uint8)
    return small.repeat(block, axis=0).repeat(block, axis=1)[: size_hw[0], : size_hw[1]]


def nv12(picture: NDArray[np.uint8]) -> bytes:
    """Three planes taken as Y, U and V, chroma by every other pixel."""
    return picture[:, :, 0].tobytes() + picture[::2, ::2, 1:].tobytes()


def codes(picture: NDArray[np.uint8]) -> NDArray[np.int8]:
    """int8 (1, H, W, 3): what the network sees of `nv12(picture)`."""
    chroma = picture[::2, ::2, 1:].repeat(2, axis=0).repeat(2, axis=1)
    seen = np.concatenate([picture[:, :, :1], chroma], axis=2)[None]
    return (seen.astype(np.int16) - 128).astype(np.int8)


def command(folder: Path, *words: str) -> str:
    """Run a command of this environment in `folder`; its standard output.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        [str(Path(sys.executable).parent / words[0]), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def convert(path: Path, folder: Path) -> tuple[int, int]:
    """Write the products to `folder`/out; the height and width of the input."""
    model = onnx.load(path)
    stored = {each.name for each in model.graph.initializer}
    (data,) = (each for each in model.graph.input if each.name not in stored)
    shape = [dim.dim_value for dim in data.type.tensor_type.shape.dim]
    size_hw = (shape[2], shape[3])
    samples = folder / "cal"
    samples.mkdir()
    for seed in range(SAMPLES):
        picture = pixels(size_hw, 100 + seed)
        (samples / f"{seed}.rgb").write_bytes(picture.transpose(2, 0, 1).tobytes())
    train, mean, scale = TRAINED_ON.get(path.stem, REBUILT)
    config = {
        "model_parameters": {
            "onnx_model": str(path),
            "output_model_file_prefix": "net",
            "working_dir": str(folder / "out"),
        },
        "input_parameters": {
            "input_shape": "x".join(map(str, shape)),
            "input_type_train": train,
            "input_layout_train": "NCHW",
            "input_type_rt": "nv12",
            "norm_type": "data_mean_and_scale",
            "mean_value": mean,
            "scale_value": scale,
        },
        "calibration_parameters": {"cal_data_dir": str(samples), "calibration_type": "max"},
        "compiler_parameters": {"optimize_level": "O3", "debug": True},
    }
    (folder / "net.yaml").write_text(yaml.safe_dump(config))
    command(folder, "hb_mapper", "makertbin", "--model-type", "onnx", "-c", "net.yaml")
    return size_hw


def outputs_digest(folder: Path, pictures: list[NDArray[np.uint8]]) -> str:
    """Of what `hrt_model_exec infer` dumps."""
    state = hashlib.sha256()
    for picture in pictures:
        (folder / "input.bin").write_bytes(nv12(picture))
        words = ["--model_file=out/net.bin", "--input_file=input.bin", "--enable_dump=true"]
        told = json.loads(command(folder, "hrt_model_exec", "infer", *words, "--json"))
        for index in range(len(told["outputs"])):
            state.update((folder / f"model_infer_output_{index}.bin").read_bytes())
    return state.hexdigest()


def quantized_digest(folder: Path, pictures: list[NDArray[np.uint8]]) -> str:
    """Of what the quantized ONNX gives in onnxruntime."""
    state = hashlib.sha256()
    session = onnxruntime.InferenceSession(folder / "out" / "net_quantized_model.onnx")
    for picture in pictures:
        for array in session.run(None, {session.get_inputs()[0].name: codes(picture)}):
            state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def found(path: Path, folder: Path) -> Found:
    """Convert and run one ONNX file."""
    size_hw = convert(path, folder)
    pictures = [pixels(size_hw, seed) for seed in range(PICTURES)]
    words = ("--model_file=out/net.bin", "--frame_count=1", "--thread_num=1", "--json")
    told = json.loads(command(folder, "hrt_model_exec", "perf", *words))
    return Found(
        outputs_digest(folder, pictures),
        quantized_digest(folder, pictures),
        (folder / "out" / "net.bin").stat().st_size,
        sum(told["core_busy_ms"]),
    )


def files(models: Path | None, folder: Path) -> Iterator[Path]:
    """The ONNX files of a folder, then those of `benchmarks.networks`, written to `folder`."""
    if models is not None:
        yield from sorted(models.glob("*.onnx"))
    for name, build in NETWORKS.items():
        path = folder / f"{name}.onnx"
        onnx.save(build(), path)
        yield path
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="Digests, sizes and costs of converted networks.")
    parser.add_argument("--models", type=Path, help="a folder of further ONNX files, 1 x 3 x H x W")
    parser.add_argument("--only", nargs="*", default=(), help="names; default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    rows: dict[str, Found] = {}
    print("| network | outputs | quantized ONNX | .bin bytes | BPU ms |")
    print("|---|---|---|--:|--:|")
    with tempfile.TemporaryDirectory() as scratch:
        for path in files(arguments.models, Path(scratch)):
            if arguments.only and path.stem not in arguments.only:
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                row = rows[path.stem] = found(path.resolve(), Path(folder))
            print(
                f"| {path.stem} | {row.outputs[:16]} | {row.quantized[:16]} | {row.bin_size_bytes} "
                f"| {row.bpu_ms:.3f} |",
                flush=True,
            )
            if arguments.json:
                text = json.dumps({name: asdict(each) for name, each in rows.items()}, indent=2)
                arguments.json.write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
