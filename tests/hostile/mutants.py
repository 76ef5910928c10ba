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
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from bpu_common.errors import BpuError, CompilerBug
from tests.hostile import onnx_files
from tests.support.nets_front import Net, classifier

_TEXT = ("", "data", "conv0", "Relu", "Loop", "a" * 300, "ä☃", "\x1b[2J", "x/y z", "local")
_WHOLE = (0, 1, -1, 2, 3, 7, 16, 255, 999, 1 << 20, (1 << 31) - 1, -(1 << 31))
_LARGE = ((1 << 63) - 1, -(1 << 63))
_REAL = (0.0, -1.0, 1e-38, 3e38, float("nan"), float("inf"), float("-inf"), 0.5)


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
    for _ in range(source.randint(1, 3)):
        _change(source, *source.choice(_places(model)))
    return model.SerializeToString()


def _places(message: Message) -> list[tuple[Message, FieldDescriptor]]:
    """All fields that are set, with the messages they stand in; of raw data none."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                found += _places(item)
    return found


def _change(source: random.Random, message: Message, field: FieldDescriptor) -> None:
    value = getattr(message, field.name)
    if not field.is_repeated:
        if field.message_type is not None or source.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other(source, field, value))
        return
    at = source.randrange(len(value)) if len(value) else 0
    action = source.randrange(3)
    if not len(value):
        return
    if action == 0:
        del value[at]
    elif action == 1 and field.message_type is not None:
        value.add().CopyFrom(value[at])
    elif action == 1:
        value.append(value[at])
    elif field.message_type is None:
        value[at] = _other(source, field, value[at])
    else:
        value[at].CopyFrom(value[source.randrange(len(value))])


def _other(source: random.Random, field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return source.choice(_TEXT)
    if field.type == FieldDescriptor.TYPE_BYTES:
        cut = value[: source.randrange(len(value) + 1)]
        return source.choice((cut, value + b"\xff" * 3, bytes(len(value)), b"\xff" * len(value)))
    if isinstance(value, float):
        return source.choice(_REAL)
    if field.enum_type is not None:
        return source.choice([each.number for each in field.enum_type.values])
    return source.choice(_WHOLE if field.type == FieldDescriptor.TYPE_INT32 else _WHOLE + _LARGE)


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
