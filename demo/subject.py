"""The network under demonstration: what its image input looks like, as far as the file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from bpu_common.errors import InputError, UsageError

CHANNELS = {"rgb": 3, "bgr": 3, "yuv444": 3, "gray": 1}
"""By what a network can be trained on."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user says about a network; empty: as the file says.

    Attributes:
        size_hw: of the input, where the file leaves it open.
        train_type: one of `CHANNELS`.
        mean, scale: per channel, separated by spaces: (x - mean) * scale.
    """

    size_hw: tuple[int, int] | None = None
    train_type: str = ""
    mean: str = ""
    scale: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The network and how its pixels are prepared.

    Attributes:
        shape: of the input, without unknown sizes, in `layout`.
        layout: NCHW or NHWC.
    """

    path: Path
    input_name: str
    shape: tuple[int, int, int, int]
    layout: str
    train_type: str
    mean: str
    scale: str

    @property
    def size_hw(self) -> tuple[int, int]:
        first = 2 if self.layout == "NCHW" else 1
        return self.shape[first], self.shape[first + 1]

    @property
    def shape_text(self) -> str:
        return "x".join(map(str, self.shape))

    @property
    def runtime_type(self) -> str:
        """What the board is fed with: nv12, as cameras give it, where that is possible."""
        if self.train_type == "gray":
            return "gray"
        odd = any(side % 2 for side in self.size_hw)
        return "rgb" if odd and self.train_type != "yuv444" else "nv12"


def read_subject(path: Path, wishes: Wishes) -> Subject:
    """The network in a file.

    Raises:
        InputError: no ONNX model, or not one with one image input.
        UsageError: something that neither the file nor the user says.
    """
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf raises whatever it likes
        raise InputError("is not an ONNX model", where=str(path)) from error
    name, dims = _image_input(graph, path)
    channels = CHANNELS[wishes.train_type] if wishes.train_type else 0
    layout = _layout(dims, channels)
    first = 2 if layout == "NCHW" else 1
    found = dims[3 if layout == "NHWC" else 1] or channels or 3
    if found not in (1, 3) or (channels and found != channels):
        wanted = f"{wishes.train_type} has {channels}" if channels else "a picture has 3, or 1"
        raise InputError(
            f"input {name!r} has {found} channels, {wanted}",
            where=str(path),
            hint="the demonstration is for networks that take a picture",
        )
    height, width = _size(dims[first : first + 2], wishes.size_hw, path)
    shape = (1, found, height, width) if layout == "NCHW" else (1, height, width, found)
    train_type = wishes.train_type or ("gray" if found == 1 else "rgb")
    return Subject(path, name, shape, layout, train_type, wishes.mean, wishes.scale)


def parse_size(text: str) -> tuple[int, int]:
    """`320x640` as (height, width); `320` is a square.

    Raises:
        UsageError: it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"SIZE={text} is not HEIGHTxWIDTH", hint="for example SIZE=320x320")
    return int(parts[0]), int(parts[-1])


def _image_input(graph: onnx.GraphProto, path: Path) -> tuple[str, list[int]]:
    """Name and sizes of the input; 0: the file leaves it open."""
    constants = {initializer.name for initializer in graph.initializer}
    read = {name for node in graph.node for name in node.input}
    inputs = [each for each in graph.input if each.name not in constants and each.name in read]
    sizes = {
        each.name: [max(0, dim.dim_value) for dim in each.type.tensor_type.shape.dim]
        for each in inputs
    }
    images = {name: dims for name, dims in sizes.items() if len(dims) == 4}
    if len(sizes) != 1 or not images:
        forms = ", ".join(f"{name} ({len(dims)} axes)" for name, dims in sizes.items())
        raise InputError(
            f"the demonstration needs one input with 4 axes; the model has {forms or 'none'}",
            where=str(path),
            hint="docs/your-model.md converts other models",
        )
    [(name, dims)] = images.items()
    return name, dims


def _layout(dims: list[int], channels: int) -> str:
    """Where the channels of a picture stand; NCHW where the file does not say."""
    possible = (channels,) if channels else (3, 1)
    return "NHWC" if dims[3] in possible and dims[1] not in possible else "NCHW"


def _size(known: list[int], wished: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    if wished is None:
        if not all(known):
            raise UsageError(
                "the model leaves the size of its input open",
                where=str(path),
                hint="say which: make demo MODEL=... SIZE=320x320 (height x width)",
            )
        return known[0], known[1]
    if any(size not in (0, wish) for size, wish in zip(known, wished, strict=True)):
        raise UsageError(
            f"SIZE={wished[0]}x{wished[1]}, but the model takes "
            f"{'x'.join(str(size or '?') for size in known)}",
            where=str(path),
        )
    return wished
