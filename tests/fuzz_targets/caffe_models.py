"""Caffe models: the prototxt, a zero byte, and the caffemodel."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from bpu_common.errors import ModelFormatError
from bpu_host.compiler.config.values import filled_shape
from bpu_host.compiler.frontend.caffe.gen.caffe import network_pb2, weights_pb2
from bpu_host.compiler.frontend.caffe.read import read_caffe
from bpu_host.compiler.frontend.onnx import prepare
from tests.caffe.mutants import EXAMPLES
from tests.fuzz_targets.target import Harm, Target
from tests.hostile.changes import change_bytes, change_message
from tests.support import caffe_nets as nets

_UNKNOWN = "the log has the details"
"""In the sentence about an exception that nobody foresaw."""
_BYTES = 0.1
"""Share of changes that are of bytes, and not of messages."""


@cache
def seeds() -> Sequence[bytes]:
    """A classifier, and layers with their weights."""
    text, blobs = nets.classifier(8)
    made = [_joined(text.encode(), nets.caffemodel(blobs))]
    for kind, shapes, more, sizes, tops in EXAMPLES[::6]:
        given = {f"x{index}": shape for index, shape in enumerate(shapes)}
        ends = [f"y{index}" for index in range(tops)]
        weights = [np.abs(each) for each in nets.noise(dict(enumerate(sizes))).values()]
        text = nets.inputs(given) + nets.layer(kind, list(given), ends, more)
        made.append(_joined(text.encode(), nets.caffemodel({"it": weights})))
    return made


def _joined(prototxt: bytes, caffemodel: bytes) -> bytes:
    return prototxt + b"\0" + caffemodel


def change(source: random.Random, data: bytes) -> bytes:
    """Another model: another network, or other weights."""
    if source.random() < _BYTES:
        return change_bytes(source, data)
    prototxt, _, caffemodel = data.partition(b"\0")
    if source.random() < 0.7:
        return _joined(_changed_text(source, prototxt), caffemodel)
    trained = weights_pb2.TrainedNetwork()
    try:
        trained.ParseFromString(caffemodel)
    except DecodeError:
        return _joined(prototxt, change_bytes(source, caffemodel))
    _change(source, trained)
    return _joined(prototxt, trained.SerializeToString())


def _changed_text(source: random.Random, prototxt: bytes) -> bytes:
    network = network_pb2.Network()
    try:
        text_format.Parse(prototxt, network)
    except (text_format.ParseError, UnicodeDecodeError):
        return change_bytes(source, prototxt).replace(b"\0", b"")
    _change(source, network)
    return text_format.MessageToString(network).encode()


def _change(source: random.Random, message: Message) -> None:
    change_message(source, message, source.randint(1, 3))


def run(data: bytes, folder: Path) -> None:
    """Read both files; check and convert what was made of them. A refusal says what is wrong."""
    prototxt, caffemodel = folder / "net.prototxt", folder / "net.caffemodel"
    text, _, weights = data.partition(b"\0")
    prototxt.write_bytes(text)
    caffemodel.write_bytes(weights)
    try:
        read = read_caffe(prototxt, caffemodel, {})
    except ModelFormatError as error:
        if _UNKNOWN in error.message:
            raise Harm(f"source.py:damage: {error.__cause__!r:.200}") from error
        raise
    shapes = {name: filled_shape(shape) for name, shape in read.inputs if shape is not None}
    prepare(read.proto, read.file, shapes, weights=read.weights)


TARGET = Target("caffe_models", seeds, run, change)
