"""Remote inference against a raw gRPC bytes call of the same sizes, interleaved.

    python -m benchmarks.remote_infer

The agent is a real process on a unix socket with the simulated board. The raw server is a process
of its own too: `grpc.aio`, no protobuf, it answers with as many bytes as the inference does. Of
each inference the wall time that the board's runtime took is taken off: what is left is transport.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
from onnx import helper

from bpu_common import container
from bpu_common.model import BpuModel
from bpu_common.network import ModelOutput, Network, OnnxOp, Part, Place
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from bpu_common.wire.rpc.memory import keep_large_blocks
from bpu_host.remote import Board

LIMIT = 2.0
ROUNDS = 40
CALLS = 25  # of each kind in one round
REPLY_VALUES = 1000  # a classifier's scores: 4,000 bytes
SIZES = {"150 KB": (1, 37_632), "600 KB": (1, 150_528)}  # float32 values of the request
_METHOD = "/raw/Call"


def model_of(name: str, shape: tuple[int, ...]) -> BpuModel:
    """Takes a tensor and answers with its first values: no work worth measuring."""
    x = TensorSpec("x", shape, DType.FLOAT32)
    y = TensorSpec("y", (1, REPLY_VALUES), DType.FLOAT32)
    constants = {
        "start": np.array([0], np.int64),
        "end": np.array([REPLY_VALUES], np.int64),
        "axis": np.array([1], np.int64),
    }
    node = helper.make_node("Slice", ["x", *constants], ["y"])
    first = OnnxOp("first", "Slice", ("x", *constants), ("y",), node.SerializeToString())
    network = Network(
        name=name,
        tensors={"x": x, "y": y},
        inputs=(ModelInput(x, InputType.FEATUREMAP, Layout.NONE),),
        outputs=(ModelOutput("y", "y"),),
        parts=(Part(f"{name}_cpu_0", Place.CPU, (first,), ("x",), ("y",)),),
        constants=constants,
    )
    return BpuModel(network, "bernoulli2", "x3m", programs={})


async def serve_raw(address: str) -> None:
    """The floor: bytes in, bytes out."""
    keep_large_blocks()
    answer = bytes(REPLY_VALUES * 4)

    async def call(_request: bytes, _context: object) -> bytes:
        return answer

    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    handler = grpc.method_handlers_generic_handler(
        "raw", {"Call": grpc.unary_unary_rpc_method_handler(call)}
    )
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


def measure(board: Board, raw: grpc.UnaryUnaryMultiCallable, name: str, count: int) -> list[tuple]:
    """Per round the medians (raw, transport of infer, runtime), in milliseconds."""
    values = np.random.default_rng(0).standard_normal((1, count)).astype(np.float32)
    payload = values.tobytes()
    rounds = []
    for _ in range(ROUNDS + 2):
        floor, transport, runtime = [], [], []
        for _ in range(CALLS):
            start_ns = time.perf_counter_ns()
            raw(payload)
            middle_ns = time.perf_counter_ns()
            _, runtime_ns = board.infer_timed(name, {"x": values})
            end_ns = time.perf_counter_ns()
            floor.append((middle_ns - start_ns) / 1e6)
            transport.append((end_ns - middle_ns - runtime_ns) / 1e6)
            runtime.append(runtime_ns / 1e6)
        rounds.append(tuple(map(statistics.median, (floor, transport, runtime))))
    return rounds[2:]


def _servers(root: Path, agent_address: str, raw_address: str) -> list[subprocess.Popen[bytes]]:
    """An agent, and a server of raw bytes; each prints a line when it listens."""
    command = [sys.executable, "-m"]
    agent = [*command, "bpu_board.cli.agent", "--listen", agent_address, "--store", f"{root}/s"]
    agent += ["--clock", "virtual"]
    raw = [*command, "benchmarks.remote_infer", "--serve-raw", raw_address]
    return [
        subprocess.Popen(agent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL),
        subprocess.Popen(raw, stdout=subprocess.PIPE),
    ]


def main() -> int:
    keep_large_blocks()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        agent_address, raw_address = f"unix:{root}/agent.sock", f"unix:{root}/raw.sock"
        processes = _servers(root, agent_address, raw_address)
        try:
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()
            print("## Remote inference against a raw gRPC bytes call\n")
            print("| request | raw p50 | infer p50 less runtime | ratio | runtime | |")
            print("|---|---|---|---|---|---|")
            with (
                Board.connect(agent_address) as board,
                grpc.insecure_channel(raw_address, options=CHANNEL_OPTIONS) as channel,
            ):
                raw = channel.unary_unary(_METHOD)
                for label, shape in SIZES.items():
                    model = model_of(f"net{shape[1]}", shape)
                    path = root / "net.bin"
                    path.write_bytes(container.dump([model]))
                    board.deploy(path)
                    rounds = measure(board, raw, model.name, shape[1])
                    floor, transport, runtime = (
                        statistics.median(each[k] for each in rounds) for k in range(3)
                    )
                    ratio = statistics.median(each[1] / each[0] for each in rounds)
                    good = ratio <= LIMIT
                    missed |= label == "150 KB" and not good
                    print(
                        f"| {label} | {floor:.3f} ms | {transport:.3f} ms | **{ratio:.2f}x** | "
                        f"{runtime:.3f} ms | {'' if good else 'over '}{LIMIT:g}x |"
                    )
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(20)
    print(
        f"\nMedians of {ROUNDS} rounds of {CALLS} interleaved calls; ratio is the median of the "
        "rounds' ratios; reply 4,000 bytes; unix socket, one caller. The mark is 150 KB."
    )
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-raw"]:
        asyncio.run(serve_raw(sys.argv[2]))
    else:
        sys.exit(main())
