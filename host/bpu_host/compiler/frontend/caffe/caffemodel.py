"""A caffemodel -> the blobs of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from bpu_common.errors import ModelFormatError
from bpu_common.tensor import F32
from bpu_common.wire.messages.budget import check_budget
from bpu_common.wire.messages.record import descriptor_of
from bpu_host.compiler.frontend.caffe.gen.caffe import weights_pb2 as pb
from bpu_host.compiler.frontend.inputs import Shape


@dataclass(frozen=True, slots=True, eq=False)
class TrainedBlob:
    """One array of a layer.

    Attributes:
        shape: as the file says it, not yet held against the values; in old files 4 sizes.
        values: float32, one axis.
    """

    shape: Shape
    values: F32


_RAW_TYPES = {
    pb.Blob.DOUBLE: "<f8",
    pb.Blob.FLOAT: "<f4",
    pb.Blob.FLOAT16: "<f2",
    pb.Blob.INT: "<i4",
    pb.Blob.UINT: "<u4",
}

Blobs = Mapping[str, tuple[TrainedBlob, ...]]
"""By the name of the layer."""


def read_caffemodel(data: bytes, file: str) -> Blobs:
    """Read the weights of a network; of layers of one name the first counts, as in Caffe.

    Args:
        file: its name, for messages.

    Raises:
        ModelFormatError: it is no caffemodel, or damaged.
    """
    check_budget(data, descriptor_of(pb.TrainedNetwork), file)
    network = pb.TrainedNetwork()
    try:
        network.ParseFromString(data)
    except DecodeError as error:
        raise ModelFormatError(
            "not a caffemodel, or damaged", where=file, hint="download or export it again"
        ) from error
    if not network.layer and not network.layers:
        raise ModelFormatError("not a caffemodel: it holds no layers", where=file)
    blobs: dict[str, tuple[TrainedBlob, ...]] = {}
    for name, layer in _layers(network):
        found = tuple(_blob(each, f"{file}: layer {name!r:.80}") for each in layer.blobs)
        if found:
            blobs.setdefault(name, found)
    return blobs


def _layers(
    network: pb.TrainedNetwork,
) -> Iterator[tuple[str, pb.TrainedLayer | pb.TrainedV1Layer]]:
    for layer in network.layer:
        yield layer.name, layer
    for old in network.layers:
        yield old.name or old.layer.name, old


def _blob(blob: pb.Blob, place: str) -> TrainedBlob:
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    else:
        shape = (blob.num, blob.channels, blob.height, blob.width)
    raw, kind = _bytes(blob)
    size = np.dtype(kind).itemsize
    if len(raw) % size:
        raise ModelFormatError("its values end in the middle of one", where=place)
    with np.errstate(over="ignore"):  # not finite: what reads the weights refuses that
        values = np.frombuffer(raw, kind).astype(np.float32, copy=False)
    return TrainedBlob(shape, values)


def _bytes(blob: pb.Blob) -> tuple[bytes, str]:
    """The values and their type, in whichever of four forms the file has them."""
    if blob.raw_data:
        return blob.raw_data, _RAW_TYPES[blob.raw_data_type]
    if blob.double_data:
        return b"".join(blob.double_data), "<f8"
    return b"".join(blob.data) or _unpacked(blob), "<f4"


def _unpacked(blob: pb.Blob) -> bytes:
    """The values of a list that was written one by one, which no field of bytes is."""
    number = pb.Blob.DESCRIPTOR.fields_by_name["data"].number
    unknown = UnknownFieldSet(blob)
    fields = (unknown[index] for index in range(len(unknown)))
    found = [each.data for each in fields if each.field_number == number]
    return np.array(found, "<u4").tobytes()
