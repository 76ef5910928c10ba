"""Caffe networks written, and run by OpenCV and by what our front end makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from bpu_common.tensor import AnyArray
from bpu_host.compiler.frontend import FloatModel
from bpu_host.compiler.frontend.caffe import read_caffe
from bpu_host.compiler.frontend.caffe.gen.caffe import weights_pb2 as pb
from bpu_host.compiler.weights import serialized

Arrays = Mapping[str, Sequence[AnyArray]]


def caffemodel(blobs: Arrays) -> bytes:
    """A caffemodel of layers with these blobs."""
    network = pb.TrainedNetwork(name="net")
    for name, arrays in blobs.items():
        layer = network.layer.add(name=name)
        for array in arrays:
            layer.blobs.add(data=[array.astype("<f4").tobytes()], shape=pb.Shape(dim=array.shape))
    if not blobs:
        network.layer.add(name="nothing")
    return network.SerializeToString()


def write(folder: Path, text: str, blobs: Arrays) -> tuple[Path, Path]:
    """Both files of a network."""
    prototxt, weights = folder / "net.prototxt", folder / "net.caffemodel"
    prototxt.write_text(text)
    weights.write_bytes(caffemodel(blobs))
    return prototxt, weights


def inputs(shapes: Mapping[str, Sequence[int]]) -> str:
    """`Input` layers."""
    lines = []
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        lines.append(
            f'layer {{ name: "{name}" type: "Input" top: "{name}" '
            f"input_param {{ shape {{ {dims} }} }} }}"
        )
    return "\n".join(lines) + "\n"


def layer(
    kind: str,
    bottoms: Sequence[str],
    tops: Sequence[str] = ("y",),
    more: str = "",
    name: str = "it",
) -> str:
    """One layer."""
    ends = [f'bottom: "{each}"' for each in bottoms] + [f'top: "{each}"' for each in tops]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {more} }}\n'


def read(
    files: tuple[Path, Path], shapes: Mapping[str, tuple[int, ...]] | None = None
) -> FloatModel:
    """The model of both files."""
    return read_caffe(*files, shapes or {})


def run(model: FloatModel, feed: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """What stock onnxruntime makes of a model, held against the shapes that the model claims."""
    session = onnxruntime.InferenceSession(
        serialized(model.proto, model.weights), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(names, dict(feed)), strict=True))
    for value in model.proto.graph.output:
        claimed = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        assert found[value.name].shape == claimed, value.name
    return found


def run_opencv(
    files: tuple[Path, Path], feed: Mapping[str, AnyArray], layer: str = "it"
) -> list[AnyArray]:
    """What OpenCV makes of both files: the tops of one layer, in their order."""
    import cv2

    net = cv2.dnn.readNetFromCaffe(*map(str, files))
    for name, array in feed.items():
        net.setInput(array, name)
    (found,) = net.forwardAndRetrieve([layer])
    return list(found)


def noise(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, AnyArray]:
    """Inputs of normal noise."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def classifier(size: int) -> tuple[str, dict[str, list[AnyArray]]]:
    """A network that gives a BGR picture of size x size two scores, and its weights."""
    side = (size - 3) // 2 + 1
    a, b, c, d = noise(
        {"a": (4, 3, 3, 3), "b": (4,), "c": (2, 4 * side * side), "d": (2,)}
    ).values()
    text = inputs({"data": (10, 3, size, size)})
    conv = "convolution_param { num_output: 4 kernel_size: 3 stride: 2 }"
    text += layer("Convolution", ["data"], ["conv"], conv, "conv")
    text += layer("ReLU", ["conv"], ["conv"], name="relu")
    text += layer("InnerProduct", ["conv"], ["ip"], "inner_product_param { num_output: 2 }", "ip")
    text += layer("Softmax", ["ip"], ["prob"], name="prob")
    return text, {"conv": [a, b], "ip": [c, d]}
