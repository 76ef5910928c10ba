"""Time of the BPU parts in the onnxruntime engine against float32 on the same network.

Batch 1, 2 threads, wall clock, rounds interleaved. Four runs:
- engine: the BPU parts, reading the nv12 picture and the colour convolution included;
- float32: the ONNX file as it is, in onnxruntime with default options (the marks are against it);
- folded: the same with initializers taken out of the graph's inputs, so that onnxruntime may fold
  batch norm (some exporters list them there, CenterFace's does);
- floor: the network network's float convolutions with their clips alone, which exact float32
  arithmetic cannot beat.

    python -m benchmarks.fastpath [rounds]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bpu_common.image import network_input
from bpu_common.network import BPU_OPS, Network, Part, Place, QConv, QEltwise, tensors_read
from bpu_common.tensor import AnyArray, InputType, Layout, ModelInput
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_sim.engines import OrtEngine
from bpu_sim.engines.onnx.emitter import Emitter, model_bytes, value_info

DATA = Path(os.environ.get("BENCH_DATA", "../shared")).resolve()
MARKS = {"centerface_512": 2.0, "efficientnet-lite0_224": 3.0}
THREADS = 2
ROUNDS = 40
Run = Callable[[], object]


def compiled(path: Path) -> Compiled:
    """The network with an nv12 input, calibrated on noise: speed does not depend on the scales."""
    item = InputConfig(
        name="",
        shape=(),
        train_type=InputType.RGB,
        train_layout=Layout.NCHW,
        rt_type=InputType.NV12,
        rt_layout=Layout.NHWC,
    )
    with tempfile.TemporaryDirectory() as folder:
        config = CompileConfig(
            model_path=path,
            prefix="bench",
            working_dir=Path(folder),
            inputs=(item,),
            calibration_method=CalibrationMethod.MAX,
            optimize_level="O0",
        )
        return compile_model(config)


def session(data: bytes) -> Any:
    """A stock session with two threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def float_run(path: Path, *, folded: bool) -> Run:
    """The original network on noise."""
    model = onnx.load(path)
    if folded:
        stored = {each.name for each in model.graph.initializer}
        inputs = [each for each in model.graph.input if each.name not in stored]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
    made = session(model.SerializeToString())
    first = made.get_inputs()[0]
    x = np.random.default_rng(0).uniform(-1, 1, first.shape).astype(np.float32)
    return lambda: made.run(None, {first.name: x})


def fast_run(found: Compiled) -> Run:
    """All BPU parts of the model, each fed with noise."""
    network = found.network
    engine = OrtEngine(network, threads=THREADS)
    rng = np.random.default_rng(0)
    work: list[tuple[Part, dict[str, AnyArray]]] = []
    raw: list[tuple[dict[str, AnyArray], ModelInput, AnyArray]] = []
    for part in network.parts:
        if part.place is not Place.BPU:
            continue
        feeds: dict[str, AnyArray] = {}
        for name in part.inputs:
            if name in network.images:
                image = network.images[name]
                pixels = rng.integers(0, 256, image.caller_shape).astype(np.uint8)
                raw.append((feeds, image, pixels))
            else:
                shape = network.tensors[name].shape
                feeds[name] = rng.integers(-128, 128, shape).astype(np.int8)
        work.append((part, feeds))

    def run() -> None:
        for feeds, image, pixels in raw:
            feeds[image.tensor.name] = network_input(pixels, image)
        for part, feeds in work:
            engine.run_part(part, feeds)

    return run


def floor_run(network: Network) -> Run:
    """The convolutions in float32 with a clip behind each, and the additions."""
    emitter = Emitter(prefix=".")
    rng = np.random.default_rng(0)
    made: set[str] = set()
    ops = [op for op in network.ops if isinstance(op, BPU_OPS)]
    for op in ops:
        if isinstance(op, QConv):
            _floor_conv(emitter, op, rng)
        elif isinstance(op, QEltwise) and op.b is not None:
            emitter.add("Add", op.a, op.b, out=op.y)
        else:
            raise SystemExit(f"the floor has no form of {type(op).__name__}")
        made.add(op.y)
    read = {name for op in ops for name in tensors_read(op)}
    inputs, outputs = sorted(read - made), sorted(made - read)

    def edges(names: list[str]) -> list[bytes]:
        shapes = {name: network.tensors[name].shape_hwc for name in names}
        return [value_info(n, "float32", (1, c, h, w)) for n, (h, w, c) in shapes.items()]

    stock = session(model_bytes(emitter, "floor", (edges(inputs), edges(outputs))))
    feeds = {
        each.name: rng.integers(-128, 128, each.shape).astype(np.float32)
        for each in stock.get_inputs()
    }
    return lambda: stock.run(None, feeds)


def _floor_conv(emitter: Emitter, op: QConv, rng: np.random.Generator) -> None:
    shape = (op.weights.shape[0], op.weights.shape[3], *op.kernel_hw)
    bias = emitter.const(rng.normal(0, 1, shape[0]).astype(np.float32))
    common: dict[str, Any] = {"group": op.groups, "dilations": op.dilation_hw}
    if op.upsample_hw == (1, 1):
        weights = emitter.const(rng.normal(0, 0.05, shape).astype(np.float32))
        y = emitter.add(
            "Conv", op.x, weights, bias, strides=op.stride_hw, pads=op.pads_tlbr,
            kernel_shape=op.kernel_hw, **common,
        )  # fmt: skip
    else:
        turned = (shape[1] * op.groups, shape[0] // op.groups, *op.kernel_hw)
        weights = emitter.const(rng.normal(0, 0.05, turned).astype(np.float32))
        pads = [op.kernel_hw[i % 2] - 1 - op.pads_tlbr[i] for i in range(4)]
        y = emitter.add(
            "ConvTranspose", op.x, weights, bias, strides=op.upsample_hw, pads=pads,
            kernel_shape=op.kernel_hw, **common,
        )  # fmt: skip
    low, high = (emitter.const(float(bound)) for bound in op.clamp)
    emitter.add("Clip", y, low, high, out=op.y)


def interleaved(runs: list[Run], rounds: int) -> list[list[float]]:
    """Seconds of each run in each round, after three rounds of warming up."""
    times: list[list[float]] = [[] for _ in runs]
    for index in range(-3, rounds):
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if index >= 0:
                found.append(time.perf_counter() - start)
    return times


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of single rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print("## Engine against float32\n")
    print("| network | engine ms | float32 | folded | floor | mark |")
    print("|---|---|---|---|---|---|")
    missed = False
    for name, mark in MARKS.items():
        path = DATA / "models" / f"{name}.onnx"
        if not path.exists():
            print(f"error: {path} is not there; set BENCH_DATA", file=sys.stderr)
            return 2
        found = compiled(path)
        others = [float_run(path, folded=False), float_run(path, folded=True)]
        fast, *rest = interleaved([fast_run(found), *others, floor_run(found.network)], rounds)
        missed |= ratio(fast, rest[0]) > mark
        shown = [
            f"{statistics.median(each) * 1e3:.1f} ms, {ratio(fast, each):.2f}x" for each in rest
        ]
        print(f"| {name} | {statistics.median(fast) * 1e3:.1f} | {' | '.join(shown)} | {mark}x |")
    print(f"\n{THREADS} threads, batch 1, medians of {rounds} interleaved rounds; Nx: engine / it.")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
