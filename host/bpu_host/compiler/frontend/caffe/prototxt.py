"""A prototxt -> its layers, in one form whatever the age of the file.

Old and new spellings meet here: `input` with `input_dim` or `input_shape`, `Input` layers, V1
`layers` with enumerated types. Layers that the phase TEST leaves out are gone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf import text_format
from google.protobuf.message import Message

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_host.compiler.frontend.caffe.gen.caffe import network_pb2 as pb
from bpu_host.compiler.frontend.contents import check_texts
from bpu_host.compiler.frontend.inputs import Shape

MAX_LAYERS = 20_000
_UNKNOWN_HINT = "a field that is not known may change the numbers; delete it if it does not"
_PLACE = re.compile(r"^(\d+):(\d+) : (.*)$", re.DOTALL)
_TYPES = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
"""Types of V1 whose name is not the enumeration's in another spelling."""


@dataclass(frozen=True, slots=True)
class Prototxt:
    """What a prototxt says.

    Attributes:
        inputs: name and shape of those that stand above the layers; a shape may be missing (None).
        layers: those of phase TEST, in the order of the file.
    """

    name: str
    inputs: tuple[tuple[str, Shape | None], ...]
    layers: tuple[pb.Layer, ...]


def read_prototxt(data: bytes, file: str) -> Prototxt:
    """Read the text of a network.

    Args:
        file: its name, for messages.

    Raises:
        ModelFormatError: it is no prototxt, or breaks a rule of Caffe; names line or layer.
        ModelUnsupported: a form that is not read.
    """
    network = _parse(data, file)
    check_texts(network, file)
    if network.layers and network.layer:
        raise ModelFormatError("holds both 'layer' and 'layers'", where=file)
    if any(each.HasField("layer") for each in network.layers):
        raise ModelUnsupported(
            "is of the oldest form of Caffe (layers with a layer inside)",
            where=file,
            hint="bring it to the form of today with Caffe's upgrade_net_proto_text",
        )
    _check_finite(network, file)
    found = [*map(_upgraded, network.layers), *network.layer]
    if len(found) > MAX_LAYERS:
        raise ModelUnsupported(f"has more than {MAX_LAYERS} layers", where=file)
    state = _State(network.state.level, frozenset(network.state.stage))
    layers = tuple(each for each in found if _is_kept(each, state, file))
    return Prototxt(network.name, tuple(_inputs(network, file)), layers)


def _parse(data: bytes, file: str) -> pb.Network:
    network = pb.Network()
    try:
        text_format.Parse(data.decode("utf-8-sig"), network)
    except UnicodeDecodeError as error:
        raise ModelFormatError(
            "is no text (not UTF-8)",
            where=file,
            hint="--proto and prototxt name the .prototxt, --model and caffe_model the .caffemodel",
        ) from error
    except text_format.ParseError as error:
        found = _PLACE.match(str(error))
        line, column, sentence = found.groups() if found else ("1", "1", str(error))
        raise ModelFormatError(
            sentence.replace("openbpu.caffe.", "")[:200],
            where=f"{file}:{line}:{column}",
            hint=_UNKNOWN_HINT if "has no field" in sentence else "",
        ) from error
    return network


def _check_finite(message: Message, place: str) -> None:
    """Look at the numbers of a message and of those in it.

    Raises:
        ModelFormatError: one is not finite.
    """
    for field, value in message.ListFields():
        items = value if field.is_repeated else (value,)
        if field.type == field.TYPE_FLOAT and not all(map(math.isfinite, items)):
            raise ModelFormatError(f"{field.name} is not a finite number", where=place)
        if field.message_type is not None:
            for item in items:
                name = getattr(item, "name", "") if message.DESCRIPTOR.name == "Network" else ""
                _check_finite(item, f"{place}: layer {name}" if name else place)


def _inputs(network: pb.Network, file: str) -> Iterator[tuple[str, Shape | None]]:
    """The inputs that stand above the layers."""
    names, dims = list(network.input), list(network.input_dim)
    shapes: list[Shape | None] = [tuple(each.dim) for each in network.input_shape]
    if dims and not shapes:
        if len(dims) % 4:
            raise ModelFormatError(
                f"has {len(dims)} values of input_dim; each input has 4", where=file
            )
        shapes = [tuple(dims[at : at + 4]) for at in range(0, len(dims), 4)]
    if shapes and len(shapes) != len(names):
        raise ModelFormatError(
            f"has {len(names)} inputs and {len(shapes)} shapes of inputs", where=file
        )
    yield from zip(names, shapes or [None] * len(names), strict=True)


def _upgraded(old: pb.V1Layer) -> pb.Layer:
    """A V1 layer as one of today; what training reads is left out."""
    kind = pb.V1Layer.LayerType.Name(old.type)
    words = "".join(word.capitalize() for word in kind.split("_"))
    layer = pb.Layer(name=old.name, type=_TYPES.get(kind, words), bottom=old.bottom, top=old.top)
    layer.include.extend(old.include)
    layer.exclude.extend(old.exclude)
    for field, value in old.ListFields():
        if field.name.endswith("_param"):
            getattr(layer, field.name).CopyFrom(value)
    return layer


@dataclass(frozen=True, slots=True)
class _State:
    """What rules are held against, in phase TEST."""

    level: int
    stages: frozenset[str]


def _is_kept(layer: pb.Layer, state: _State, file: str) -> bool:
    """Whether a layer takes part in phase TEST, by Caffe's rules."""
    if layer.include and layer.exclude:
        raise ModelFormatError(
            "has rules of both kinds, include and exclude",
            where=f"{file}: layer {layer.name} ({layer.type})",
        )
    if layer.include:
        return _any_meets(layer.include, state)
    return not _any_meets(layer.exclude, state)


def _any_meets(rules: Sequence[pb.NetStateRule], state: _State) -> bool:
    return any(_meets(rule, state) for rule in rules)


def _meets(rule: pb.NetStateRule, state: _State) -> bool:
    return (
        (not rule.HasField("phase") or rule.phase == pb.TEST)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and state.stages.issuperset(rule.stage)
        and state.stages.isdisjoint(rule.not_stage)
    )
