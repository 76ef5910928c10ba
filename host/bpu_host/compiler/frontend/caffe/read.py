"""A prototxt and its caffemodel -> a `FloatModel`, as an ONNX file gives it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bpu_host.compiler.frontend.caffe.caffemodel import read_caffemodel
from bpu_host.compiler.frontend.caffe.network import write_network
from bpu_host.compiler.frontend.caffe.prototxt import read_prototxt
from bpu_host.compiler.frontend.canonical import name_nodes
from bpu_host.compiler.frontend.inputs import Shape
from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.source import damage, read_bytes

MAX_TEXT_BYTES = 2 << 20
"""Of a prototxt; those of networks with hundreds of layers have 200 kB."""


def read_caffe(prototxt: Path, caffemodel: Path, shapes: Mapping[str, Shape]) -> FloatModel:
    """Read a Caffe model.

    Args:
        shapes: of inputs, by name; each wins over the prototxt's if it has as many axes.

    Raises:
        ModelFormatError: no Caffe model, damaged, or two files that do not belong together.
        ModelUnsupported: something in it cannot be converted; the message names the layer.
    """
    text = read_bytes(prototxt, "Prototxt", "a .prototxt", MAX_TEXT_BYTES)
    data = read_bytes(caffemodel, "Caffemodel", "a .caffemodel")
    whole = hashlib.sha256(data)
    files = {caffemodel.name: whole.hexdigest(), prototxt.name: hashlib.sha256(text).hexdigest()}
    whole.update(text)
    with damage(prototxt.name):
        network = read_prototxt(text, prototxt.name)
    with damage(caffemodel.name):
        blobs = read_caffemodel(data, caffemodel.name)
    del data
    with damage(prototxt.name):
        written = write_network(network, blobs, shapes, (prototxt.name, caffemodel.name))
    model = written.model
    name_nodes(model.graph)
    return FloatModel.of(
        prototxt.name, model, files, whole.hexdigest(), written.weights, written.findings
    )
