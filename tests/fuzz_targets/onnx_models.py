"""ONNX models, as far as the form that the passes work on. (`tests.hostile.mutants` goes on.)"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from bpu_host.compiler.config.values import filled_shape
from bpu_host.compiler.frontend.onnx import prepare, read_onnx
from tests.fuzz_targets.target import Target
from tests.hostile import onnx_files
from tests.hostile.changes import change_bytes, change_message
from tests.hostile.mutants import BASES


@cache
def seeds() -> Sequence[bytes]:
    """Good models, and those that are refused for their contents."""
    made = [base().SerializeToString() for base in BASES]
    made += [onnx_files.endless_loop().SerializeToString()]
    made += [onnx_files.external("weights.bin").SerializeToString()]
    return made


def change(source: random.Random, data: bytes) -> bytes:
    """Another model, mostly one that is a message."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return change_bytes(source, data)
    if source.random() < 0.05:
        return change_bytes(source, data)
    change_message(source, model, source.randint(1, 3))
    return model.SerializeToString()


def run(data: bytes, folder: Path) -> None:
    """Read a file with its external data; fix shapes, check, convert, infer."""
    (folder / "weights.bin").write_bytes(bytes(432))
    path = folder / "net.onnx"
    path.write_bytes(data)
    read = read_onnx(path)
    shapes = {name: filled_shape(shape) for name, shape in read.inputs if shape is not None}
    prepare(read.proto, read.file, shapes, weights=read.weights)


TARGET = Target("onnx_models", seeds, run, change)
