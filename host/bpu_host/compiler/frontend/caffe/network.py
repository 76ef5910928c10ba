"""The layers of a Caffe network, in order -> one ONNX graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_common.tensor import F32
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.frontend.caffe.caffemodel import Blobs
from bpu_host.compiler.frontend.caffe.gen.caffe import network_pb2 as pb
from bpu_host.compiler.frontend.caffe.graph import Blob, Graph
from bpu_host.compiler.frontend.caffe.layers.table import WRITERS
from bpu_host.compiler.frontend.caffe.prototxt import Prototxt
from bpu_host.compiler.frontend.caffe.site import Site, check_shape, place
from bpu_host.compiler.frontend.canonical import DEFAULT_GRAPH_NAME
from bpu_host.compiler.frontend.inputs import Shape

MAX_NAME = 1000
_UNREAD = ("Silence",)
_CUT = ("DetectionOutput",)
_CUT_SENTENCE = "is cut off: how many boxes it finds is not known beforehand"
_CUT_HINT = "what it reads are outputs of the model; decode and suppress the boxes behind it"


@dataclass(frozen=True, slots=True)
class Written:
    """A network as ONNX.

    Attributes:
        model: large constants lie in `weights`.
        findings: what was left out of it.
    """

    model: onnx.ModelProto
    weights: list[F32]
    findings: tuple[Finding, ...]


def write_network(
    network: Prototxt, blobs: Blobs, shapes: Mapping[str, Shape], files: tuple[str, str]
) -> Written:
    """Write a network as an ONNX model with static shapes.

    Args:
        shapes: of inputs, by name; each wins over the prototxt's if it has as many axes.
        files: names of prototxt and caffemodel, for messages.

    Raises:
        ModelUnsupported: a layer that cannot be converted; names it.
        ModelFormatError: layers that do not fit each other or their weights; names the layer.
    """
    _check_layers(network, blobs, files[0])
    walk = _Walk(network, blobs, shapes, files)
    for name, shape in network.inputs:
        walk.take_input(name, shape, files[0])
    for layer in network.layers:
        walk.take(layer)
    outputs = walk.outputs()
    if not outputs:
        raise ModelFormatError("has no layer whose output nothing reads", where=files[0])
    model = walk.graph.model(network.name or DEFAULT_GRAPH_NAME, walk.inputs, outputs)
    return Written(model, walk.graph.weights, tuple(walk.findings))


def _check_layers(network: Prototxt, blobs: Blobs, file: str) -> None:
    """Types that are known, and names that say which weights are meant.

    Raises:
        ModelUnsupported: a type that is not; in the words of the vendor's tool.
        ModelFormatError: no name, or one that several layers with weights have.
    """
    for layer in network.layers:
        longest = max((layer.name, layer.type, *layer.bottom, *layer.top), key=len)
        if len(longest) > MAX_NAME:
            raise ModelFormatError(
                f"has a name of {len(longest)} characters, {longest[:40]!r}...", where=file
            )
        if layer.type not in WRITERS and layer.type not in ("Input", *_UNREAD, *_CUT):
            raise ModelUnsupported(
                f"ValueError: Not support layer name={layer.name} type={layer.type}",
                hint=f"take the layer out of {file}, or use one of docs/supported-ops.md",
            )
        if not layer.name:
            raise ModelFormatError(f"has a layer of type {layer.type} without a name", where=file)
    counts = Counter(layer.name for layer in network.layers)
    for layer in network.layers:
        if counts[layer.name] > 1 and layer.name in blobs:
            raise ModelFormatError(
                f"has {counts[layer.name]} layers of the name '{layer.name}', which has weights",
                where=file,
                hint="which of them they belong to is not said; give the layers their own names",
            )


@dataclass(slots=True)
class _Walk:
    """What is known between one layer and the next.

    Attributes:
        blobs: by the name that the prototxt uses now; layers in place take a name over.
        unread: names of those that no layer has read yet.
        left: how often a name is still to be written.
        needed: names of what layers that were cut off read.
        gone: names of tops of layers that were cut off, with these layers.
    """

    network: Prototxt
    trained: Blobs
    shapes: Mapping[str, Shape]
    files: tuple[str, str]
    graph: Graph = field(init=False)
    inputs: list[Blob] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    blobs: dict[str, Blob] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)
    left: Counter[str] = field(init=False)
    input_names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = Counter(top for layer in self.network.layers for top in layer.top)
        inputs = (name for name, _ in self.network.inputs)
        self.graph = Graph({*self.left, *inputs}, (layer.name for layer in self.network.layers))

    def take_input(self, name: str, shape: Shape | None, where: str) -> None:
        """An input; it keeps its name, even if a layer works on it in place."""
        given = self.shapes.get(name)
        if given is not None and (shape is None or len(shape) == len(given)):
            shape = given
        if shape is None or not shape or any(size < 1 for size in shape):
            raise ModelUnsupported(
                f"input '{name}' has the shape {list(shape or ())}",
                where=where,
                hint=f"give one with --input-shape {name} 1x3x224x224 (input_shape in the YAML)",
            )
        if name in self.blobs:
            raise ModelFormatError(f"makes '{name}', which is there already", where=where)
        check_shape(f"input '{name}'", shape, where)
        self.blobs[name] = Blob(name, tuple(shape))
        self.inputs.append(self.blobs[name])
        self.input_names.add(name)

    def take(self, layer: pb.Layer) -> None:
        """The next layer."""
        where = place(self.files[0], layer)
        if layer.type == "Input":
            self._take_input_layer(layer, where)
            return
        bottoms = [self._read(name, layer, where) for name in layer.bottom]
        if layer.type in _UNREAD:
            self.unread.difference_update(layer.bottom)
            return
        if layer.type in _CUT:
            self._cut(layer)
            return
        site = Site(
            layer,
            bottoms,
            self._tensors_of(layer, where),
            self.trained.get(layer.name, ()),
            self.graph,
            self.files,
        )
        WRITERS[layer.type](site)
        self.unread.difference_update(layer.bottom)
        for name, made in zip(layer.top, site.tops, strict=True):
            self.blobs[name] = made
            self.unread.add(name)

    def _take_input_layer(self, layer: pb.Layer, where: str) -> None:
        declared: list[Shape | None] = [tuple(each.dim) for each in layer.input_param.shape]
        if len(declared) == 1 and len(layer.top) > 1:
            declared *= len(layer.top)
        if len(declared) not in (0, len(layer.top)):
            raise ModelFormatError(
                f"has {len(layer.top)} tops and {len(declared)} shapes", where=where
            )
        for name, shape in zip(layer.top, declared or [None] * len(layer.top), strict=True):
            self.left[name] -= 1
            self.take_input(name, shape, where)

    def _read(self, name: str, layer: pb.Layer, where: str) -> Blob:
        """What a layer reads under a name.

        Raises:
            ModelFormatError: no layer before has made it.
            ModelUnsupported: the layer that made it was cut off; or it holds positions.
        """
        if name in self.gone:
            raise ModelUnsupported(
                f"reads '{name}' of layer {self.gone[name]}, which is cut off",
                where=where,
                hint="take this layer out of the prototxt",
            )
        if name not in self.blobs:
            raise ModelFormatError(
                f"reads '{name}', which no layer before it makes",
                where=where,
                hint="layers stand in the order in which they run, each behind what it reads",
            )
        found = self.blobs[name]
        if found.of and layer.type not in ("Upsample", "MaxUnpool"):
            raise ModelUnsupported(
                f"reads '{name}', positions that only Upsample reads", where=where
            )
        return found

    def _tensors_of(self, layer: pb.Layer, where: str) -> list[str]:
        """The names of the tensors that its tops become: their own the last time they are written.

        Raises:
            ModelFormatError: it makes one twice, or one that is there and that it does not read.
        """
        read, names = set(layer.bottom), dict[str, str]()
        for top in layer.top:
            if top in self.blobs and top not in read:
                raise ModelFormatError(f"makes '{top}', which is there already", where=where)
            if top in names:
                raise ModelFormatError(f"makes '{top}' twice", where=where)
            self.left[top] -= 1
            names[top] = top
            if self.left[top] or top in self.input_names:
                names[top] = self.graph.tensor_name(f"{top}_{layer.name}")
        return list(names.values())

    def _cut(self, layer: pb.Layer) -> None:
        """Leave a layer out: what it reads becomes outputs, whoever else reads it."""
        self.gone.update(dict.fromkeys(layer.top, layer.name))
        self.needed.update(layer.bottom)
        self.findings.append(
            Finding(f"layer {layer.name}", f"{layer.type} {_CUT_SENTENCE}", _CUT_HINT)
        )

    def outputs(self) -> list[Blob]:
        """What no layer reads, or one that was cut off; neither positions nor inputs."""
        wanted = self.unread | self.needed
        found = (blob for name, blob in self.blobs.items() if name in wanted)
        return [blob for blob in found if not blob.of and blob.name not in self.input_names]
