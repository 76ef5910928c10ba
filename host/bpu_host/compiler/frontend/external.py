"""External tensor data of an ONNX file, confined to the model's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from bpu_common.errors import ModelFormatError


def load_external_data(model: onnx.ModelProto, path: Path, limit_bytes: int) -> None:
    """Read all external tensors of `model`, which was read from `path`.

    Raises:
        ModelFormatError: a location outside the model's folder (also through a link), a missing or
            short file, or more than `limit_bytes` in total.
    """
    folder = path.parent.resolve()
    total = 0
    for tensor in _tensors(model):
        if not onnx.external_data_helper.uses_external_data(tensor):
            continue
        info = onnx.external_data_helper.ExternalDataInfo(tensor)
        place = f"{path.name}: tensor '{tensor.name}'"
        location = Path(info.location)
        try:
            target = (folder / location).resolve()
            found = target.is_file()
        except OSError as error:
            raise ModelFormatError(
                f"external data '{info.location[:80]}' cannot be opened: {error.strerror}",
                where=place,
            ) from error
        if location.is_absolute() or not target.is_relative_to(folder):
            raise ModelFormatError(
                f"external data '{info.location}' lies outside the model's folder",
                where=place,
                hint="put the data file beside the model",
            )
        if not found:
            raise ModelFormatError(
                f"external data file '{info.location}' is missing",
                where=place,
                hint=f"copy it into {folder}",
            )
        size = target.stat().st_size
        offset = info.offset or 0
        length = info.length if info.length is not None else size - offset
        if offset < 0 or length < 0 or offset + length > size:
            raise ModelFormatError(
                f"external data file '{info.location}' holds {size} bytes, the tensor needs bytes "
                f"{offset} to {offset + length}",
                where=place,
            )
        total += length
        if total > limit_bytes:
            raise ModelFormatError(
                f"more than {limit_bytes >> 20} MiB of external data", where=str(path)
            )
        try:
            with target.open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
        except OSError as error:
            raise ModelFormatError(
                f"external data file '{info.location}' cannot be read: {error.strerror}",
                where=place,
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    stack = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while stack:
        graph = stack.pop()
        yield from graph.initializer
        nodes += graph.node
        while nodes:
            for attribute in nodes.pop().attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("g"):
                    stack.append(attribute.g)
                stack.extend(attribute.graphs)
