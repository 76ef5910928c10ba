"""Time of the BPU parts on the compiled kernels against float32 on the same network.

Batch 1, 2 threads, wall clock, rounds interleaved: in each round every engine runs one frame to
wake its threads and fill its caches, then one that counts. For each network:
- kernels: the BPU parts, colour convolution included, from the picture as int8 codes;
- 256 codes: the same network with activations of full range instead of ReLU's 128 codes, which
  instruction sets without VNNI compute in 16 bits;
- float32: the ONNX file as it is, in onnxruntime with default options (the mark is against it);
- u8s8: onnxruntime's own quantization of it (MinMax, activations uint8, weights int8);
- LiteRT: the same layers in LiteRT (`benchmarks.litert`), if the extra `bench` is installed;
- load: container and engine from a warm file; memory: private, behind one run, over what packed
  weights and arena take (the file's pages are mapped and not counted);
- four at once: frames of four threads, one thread each, over twice the rate of one.

The figures depend on where a virtual machine's cores lie: a cache line goes from core to core in
150 ns if each has a last cache of its own, in 30 if they share it. The run says which it was.

    python -m benchmarks.fastpath [rounds] [network ...]
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from benchmarks.compiling import compiled
from benchmarks.large_networks import resnet50, yolov5s
from benchmarks.litert import litert_run
from benchmarks.networks import NETWORKS
from bpu_common import container
from bpu_common.engine import KERNEL_SETS
from bpu_common.model import BpuModel
from bpu_common.network import Network, Place, QConv, QEltwise
from bpu_common.program import FULL_RANGE
from bpu_common.tensor import AnyArray
from bpu_sim.engines import open_engine
from bpu_sim.kernels.choice import choose_engine
from bpu_sim.kernels.part import KernelPart

DATA = Path(os.environ.get("BENCH_DATA", "../shared")).resolve()
FILES = ("efficientnet-lite0_224", "centerface_512", "squeezenet1.1_224")
BUILT: dict[str, Callable[[], onnx.ModelProto]] = {
    **{name: NETWORKS[name] for name in ("mobilenet_v1", "mobilenet_v2", "resnet18")},
    "resnet50": resnet50,
    "yolov5s_416": yolov5s,
}
MARKS = {"vnni": 0.32, "avx2": 0.75}
MIN_TOGETHER = 0.95
MAX_LOAD_MS = 50.0
MAX_MEMORY = 1.5
THREADS = 2
ROUNDS = 20
FRAMES_TOGETHER = 8
"""Of each thread; the start of threads is in the time."""
Run = Callable[[], object]


def source(name: str) -> onnx.ModelProto:
    """The float network, under its own name."""
    model = BUILT[name]() if name in BUILT else onnx.load(DATA / "models" / f"{name}.onnx")
    model.graph.name = name.replace(".", "_").replace("-", "_")
    return model


def session(data: bytes | str) -> Any:
    """A stock session with two threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else it holds a core
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def float_run(model: onnx.ModelProto) -> Run:
    """A float network on noise."""
    made = session(model.SerializeToString())
    first = made.get_inputs()[0]
    x = np.random.default_rng(0).uniform(-1, 1, first.shape).astype(np.float32)
    return lambda: made.run(None, {first.name: x})


class Noise(CalibrationDataReader):
    """Two samples: speed does not depend on them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        stored = {each.name for each in model.graph.initializer}
        first = next(each for each in model.graph.input if each.name not in stored)
        shape = [each.dim_value for each in first.type.tensor_type.shape.dim]
        rng = np.random.default_rng(1)
        samples = [rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(2)]
        self._left: Iterator[dict[str, AnyArray]] = iter([{first.name: x} for x in samples])

    def get_next(self) -> dict[str, AnyArray] | None:  # type: ignore[override]
        return next(self._left, None)


def u8s8_run(model: onnx.ModelProto, folder: Path) -> Run:
    """The network as onnxruntime quantizes it."""
    given, made = folder / "float.onnx", folder / "u8s8.onnx"
    onnx.save(model, given)
    quantize_static(
        given, made, Noise(model), activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8
    )
    return float_run(onnx.load(made))


def wide_codes(network: Network) -> Network:
    """The same work with activations that use all 256 codes."""
    parts = []
    for part in network.parts:
        ops = [
            replace(op, clamp=FULL_RANGE) if isinstance(op, (QConv, QEltwise)) else op
            for op in part.ops
        ]
        parts.append(replace(part, ops=tuple(ops)))
    return replace(network, parts=tuple(parts))


def kernel_parts(network: Network, threads: int) -> list[tuple[KernelPart, dict[str, AnyArray]]]:
    """The BPU parts, each with noise for its inputs."""
    choice = choose_engine()
    if choice.library is None:
        raise SystemExit(choice.about.reason)
    rng = np.random.default_rng(0)
    found = []
    for part in network.parts:
        if part.place is Place.BPU:
            shapes = {name: network.tensors[name].shape for name in part.inputs}
            feeds = {n: rng.integers(-128, 128, s).astype(np.int8) for n, s in shapes.items()}
            found.append(
                (KernelPart(choice.library, choice.about.name, part, network, threads), feeds)
            )
    return found


def kernel_run(network: Network, threads: int) -> Run:
    parts = kernel_parts(network, threads)

    def run() -> None:
        for part, feeds in parts:
            part.run(feeds)

    return run


def together(network: Network, rounds: int) -> float:
    """Frames a second of four threads over twice those of one, each frame on one thread."""
    run = kernel_run(network, 1)
    times = interleaved([lambda: repeat(run, FRAMES_TOGETHER), lambda: four(run)], rounds, warm=0)
    one_s, four_s = (statistics.median(each) for each in times)
    return 4 * one_s / (2 * four_s)


def repeat(run: Run, frames: int) -> None:
    for _ in range(frames):
        run()


def four(run: Run) -> None:
    threads = [threading.Thread(target=repeat, args=(run, FRAMES_TOGETHER)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def interleaved(runs: list[Run], rounds: int, warm: int = 1) -> list[list[float]]:
    """Seconds of each run in each round, behind `warm` others of it; three rounds do not count."""
    times: list[list[float]] = [[] for _ in runs]
    for index in range(-3, rounds):
        for run, found in zip(runs, times, strict=True):
            repeat(run, warm)
            start = time.perf_counter()
            run()
            if index >= 0:
                found.append(time.perf_counter() - start)
    return times


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of single rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def private_bytes() -> int:
    """Of this process, without pages of files."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return sizes["Anonymous"] * 1024


def load_and_run(file: Path) -> dict[str, float]:
    """In a process of its own: time of a load, and memory behind one run."""
    container.load(file)  # warm, and everything imported
    choose_engine()
    start = time.perf_counter()
    model = container.load(file)[0]
    engine = open_engine(model.network, hints=model.hints, threads=THREADS)
    load_ms = (time.perf_counter() - start) * 1e3
    del engine
    before = private_bytes()
    parts = kernel_parts(model.network, THREADS)
    for part, feeds in parts:
        part.run(feeds)
    wanted = sum(part.plan.packed_bytes + part.plan.arena_bytes for part, _ in parts)
    return {"load_ms": load_ms, "memory": (private_bytes() - before) / wanted}


def loaded(model: BpuModel, folder: Path) -> dict[str, float]:
    file = folder / "model.bin"
    file.write_bytes(container.dump([model]))
    command = [sys.executable, "-m", "benchmarks.fastpath", "--load", file]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def other_engine(network: Network) -> Run | None:
    """The network in LiteRT, if that is installed and has its operations."""
    try:
        return cast("Run | None", litert_run(network, THREADS))
    except ImportError:
        return None


def core_to_core_ns() -> float:
    """The way of a cache line to another core and back, halved: two threads of C hand it over."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "core_to_core"
        source_file = Path(__file__).with_name("core_to_core.c")
        subprocess.run(["cc", "-O2", source_file, "-o", program, "-lpthread"], check=True)
        return float(subprocess.run([program], check=True, capture_output=True).stdout)


def row(name: str, rounds: int, mark: float) -> bool:
    """Print the figures of a network; False if it misses a mark."""
    float_model = source(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = compiled(float_model, folder)
        runs = [
            kernel_run(model.network, THREADS),
            kernel_run(wide_codes(model.network), THREADS),
            float_run(float_model),
            u8s8_run(float_model, folder),
        ]
        found = loaded(model, folder)
    peer = other_engine(model.network)
    fast, wide, plain, u8s8, *rest = interleaved([*runs, *([peer] if peer else [])], rounds)
    joint = together(model.network, rounds)
    ms = [statistics.median(each) * 1e3 for each in (fast, plain)]
    reached = ratio(fast, plain)
    print(
        f"| {name} | {ms[0]:.1f} | {ms[1]:.1f} | {reached:.2f}x | {ratio(wide, plain):.2f}x "
        f"| {ratio(u8s8, plain):.2f}x | {f'{ratio(rest[0], plain):.2f}x' if rest else '-'} "
        f"| {joint:.2f} | {found['load_ms']:.0f} "
        f"| {found['memory']:.2f}x |",
        flush=True,
    )
    fine = reached <= mark and joint >= MIN_TOGETHER and found["memory"] <= MAX_MEMORY
    return fine and (found["load_ms"] <= MAX_LOAD_MS or not name.startswith("efficientnet"))


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    names = sys.argv[2:] or [*FILES, *BUILT]
    about = choose_engine().about
    if about.name not in KERNEL_SETS:
        print(about.reason, file=sys.stderr)
        return 2
    set_name = about.name
    lacking = ", ".join(about.not_run) or "none"
    mark = MARKS.get(set_name, max(MARKS.values()))
    print("## Kernels against float32\n")
    print(
        f"Instruction set {set_name}; built and not run here: {lacking}. Peers: onnxruntime "
        f"{onnxruntime.__version__}, float32 and u8s8; LiteRT {version('ai-edge-litert')}. "
        f"From core to core {core_to_core_ns():.0f} ns.\n"
    )
    print(
        "| network | kernels ms | float32 ms | kernels | 256 codes | u8s8 | LiteRT "
        "| four at once | load ms | memory |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    fine = True
    for name in names:
        if name in FILES and not (DATA / "models" / f"{name}.onnx").exists():
            print(f"error: {name}.onnx is not in {DATA}; set BENCH_DATA", file=sys.stderr)
            return 2
        fine &= row(name, rounds, mark)
    print(
        f"\n{THREADS} threads, batch 1, medians of {rounds} interleaved rounds; Nx: of float32. "
        f"Marks: kernels <= {mark}x, four at once >= {MIN_TOGETHER}, memory <= {MAX_MEMORY}x, load "
        f"of EfficientNet-Lite0 <= {MAX_LOAD_MS:g} ms."
    )
    return int(not fine)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        print(json.dumps(load_and_run(Path(sys.argv[2]))))
        sys.exit(0)
    sys.exit(main())
