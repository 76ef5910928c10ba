"""External tensor data of an ONNX file, confined to the model's own folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnx

from bpu_common.errors import ModelFormatError


def load_external_data(
    model: onnx.ModelProto, path: Path, limit_bytes: int
) -> dict[str, memoryview]:
    """Put all external tensors of `model`, which was read from `path`, into it.

    Returns:
        The contents of the files they came from, each read once, by name relative to the model's
        folder; in the order of the names.

    Raises:
        ModelFormatError: a location outside the model's folder (also through a link), a missing or
            short file, or more than `limit_bytes` in total.
    """
    contents: dict[str, memoryview] = {}
    total_bytes = 0
    for tensor in tensors_of(model):
        if not onnx.external_data_helper.uses_external_data(tensor):
            continue
        info = onnx.external_data_helper.ExternalDataInfo(tensor)
        place = f"{path.name}: tensor '{tensor.name}'"
        name = os.path.normpath(info.location)
        if name not in contents:
            left_bytes = limit_bytes - sum(len(content) for content in contents.values())
            contents[name] = _read(path, name, place, left_bytes)
        data = contents[name]
        offset = info.offset or 0
        length = info.length if info.length is not None else len(data) - offset
        if offset < 0 or length < 0 or offset + length > len(data):
            raise ModelFormatError(
                f"external data file '{name}' holds {len(data)} bytes, the tensor needs bytes "
                f"{offset} to {offset + length}",
                where=place,
            )
        total_bytes += length  # tensors may lie over each other
        if total_bytes > limit_bytes:
            raise _too_much(path)
        tensor.raw_data = bytes(data[offset : offset + length])
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return dict(sorted(contents.items()))


def _read(path: Path, name: str, place: str, limit_bytes: int) -> memoryview:
    """A data file in the folder of the model `path`."""
    folder = path.parent.resolve()
    location = Path(name)
    try:
        target = (folder / location).resolve()
        found = target.is_file()
    except OSError as error:
        raise ModelFormatError(
            f"external data '{name[:80]}' cannot be opened: {error.strerror}", where=place
        ) from error
    if location.is_absolute() or not target.is_relative_to(folder):
        raise ModelFormatError(
            f"external data '{name}' lies outside the model's folder",
            where=place,
            hint="put the data file beside the model",
        )
    if not found:
        raise ModelFormatError(
            f"external data file '{name}' is missing", where=place, hint=f"copy it into {folder}"
        )
    try:
        with target.open("rb") as file:
            if os.fstat(file.fileno()).st_size > limit_bytes:
                raise _too_much(path)
            return memoryview(file.read())
    except OSError as error:
        raise ModelFormatError(
            f"external data file '{name}' cannot be read: {error.strerror}", where=place
        ) from error


def _too_much(path: Path) -> ModelFormatError:
    return ModelFormatError(
        "the external data is too large",
        where=str(path),
        hint="a model may have 2 GiB in all its files together",
    )


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model: weights, and those in attributes of nodes, functions and bodies."""
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
