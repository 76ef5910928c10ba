"""Networks <-> the network section.

Arrays lie raw in weights sections; the messages hold their shapes and where they begin. Offsets
travel beside the network: who packs the arrays gives them, who reads the file gets them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bpu_common.model import ConstantPlace, StoredConstant
from bpu_common.network import Network
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages.record import all_of
from bpu_common.wire.messages.rules import WIRE
from bpu_common.wire.messages.strict import parse

NETWORK = WIRE.converter(Network, pb.Network)
_CONSTANT = WIRE.converter(StoredConstant, pb.Constant)

Places: TypeAlias = tuple[ConstantPlace, ...]
"""Of the operations of one part, in their order."""


@dataclass(frozen=True, slots=True)
class StoredArrays:
    """Where the arrays of a network lie.

    Attributes:
        parts: places of each part's operations in the part's weights section.
        constants: of the network, in their order.
    """

    parts: tuple[Places, ...]
    constants: tuple[StoredConstant, ...]


def encode_network(network: Network, stored: StoredArrays) -> bytes:
    """The network section."""
    message = NETWORK.to_pb(network)
    for part, places in zip(message.parts, stored.parts, strict=True):
        for op, place in zip(part.ops, places, strict=True):
            _write_place(op, place)
    message.constants.extend(map(_CONSTANT.to_pb, stored.constants))
    return message.SerializeToString(deterministic=True)


def decode_network(data: bytes | memoryview) -> tuple[Network, StoredArrays]:
    """The network of a section with arrays of the right shapes, but not yet their content.

    Raises:
        ModelFormatError: no such message; `where` is `part[2].op[7].clamp`.
    """
    message = parse(pb.Network, data, "network")
    network = NETWORK.from_pb(message)
    parts = tuple(tuple(_read_place(op) for op in part.ops) for part in message.parts)
    constants = tuple(all_of(_CONSTANT.from_pb, message.constants, "constants"))
    return network, StoredArrays(parts, constants)


def _write_place(op: pb.Operation, place: ConstantPlace) -> None:
    match op.WhichOneof("kind"):
        case "qconv":
            op.qconv.weights.offset_bytes = place.weights
            op.qconv.params_offset_bytes = place.params
        case "qlut":
            op.qlut.tables.offset_bytes = place.tables
        case _:
            pass


def _read_place(op: pb.Operation) -> ConstantPlace:
    match op.WhichOneof("kind"):
        case "qconv":
            return ConstantPlace(op.qconv.weights.offset_bytes, op.qconv.params_offset_bytes)
        case "qlut":
            return ConstantPlace(tables=op.qlut.tables.offset_bytes)
        case _:
            return ConstantPlace()
