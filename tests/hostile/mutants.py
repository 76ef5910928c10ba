"""ONNX models with something wrong in them: `python -m tests.hostile.mutants --count 2000`.

A mutant is a good model of which one to three places of the message are changed: a number, a name,
a type, an item that is gone or there twice. Whatever comes of it is a model that converts or a
sentence about the model, never a fault of the compiler.
"""

from __future__ import annotations

import argparse
import collections
import io
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import onnx

from bpu_common.errors import BpuError, CompilerBug
from tests.hostile import onnx_files
from tests.hostile.changes import change_message
from tests.support.nets_front import Net, classifier


def resized() -> onnx.ModelProto:
    """Resize, Concat, Reshape, Softmax: operators with shapes as constants."""
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 4))
    scales = net.constant([1.0, 1.0, 2.0, 2.0])
    large = net.add("Resize", x, "", scales, mode="nearest")
    small = net.add("MaxPool", large, kernel_shape=[2, 2], strides=[2, 2])
    joined = net.add("Concat", x, small, axis=1)
    flat = net.add("Flatten", net.add("AveragePool", joined, kernel_shape=[8, 8]))
    return net.model(net.add("Softmax", flat, axis=1), opset=11)


BASES: tuple[Callable[[], onnx.ModelProto], ...] = (
    classifier,
    resized,
    lambda: onnx_files.nested_functions(3),
    lambda: onnx_files.named("relu"),
)


def mutant(seed: int) -> bytes:
    """The bytes of one mutant."""
    source = random.Random(seed)
    model = source.choice(BASES)()
    change_message(source, model, source.randint(1, 3))
    return model.SerializeToString()


def fault_of(data: bytes, folder: Path) -> str:
    """What the compiler made of a model; empty where it converted it or told its user why not."""
    from bpu_host.cli.mapper_commands import check
    from bpu_host.cli.mapper_log import Progress

    path = folder / "net.onnx"
    path.write_bytes(data)
    try:
        check(path, {}, "x3m", Progress(io.StringIO()))
    except CompilerBug as error:
        return f"CompilerBug: {error.message}"
    except BpuError:
        return ""
    except Exception as error:  # noqa: BLE001  what is looked for
        inner = [
            each for each in traceback.extract_tb(error.__traceback__) if "bpu_" in each.filename
        ]
        place = f"{Path(inner[-1].filename).name}:{inner[-1].name}"
        return f"{type(error).__name__}: {error} ({place})"
    return ""


def main() -> int:
    """Run mutants; one line each that is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(options.seed, options.seed + options.count):
            if fault := fault_of(mutant(seed), Path(folder)):
                faults[fault] += 1
                print(f"seed {seed}: {fault}", flush=True)
    print(f"{options.count} mutants, {faults.total()} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
