"""Where the tensors of a plan lie: buffers with borders, views of them, one arena by lifetime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bpu_common.program import Quad
from bpu_common.tensor import AnyArray, align_up
from bpu_sim.kernels.abi import Kind, TensorSpec

CHANNELS = 16
"""Kernels store so many channels at a time."""
ALIGN_BYTES = 64
NO_EDGES: Quad = (0, 0, 0, 0)


@dataclass(eq=False, slots=True)
class Buffer:
    """Memory of one tensor, NHWC.

    Attributes:
        item: bytes of an element: 1, 2 (widened codes) or 4 (accumulators).
        zero: a stored byte is code + zero; 0 where codes are never negative, else 128.
        pitch: bytes from pixel to pixel.
        edges: pixels of border on each side (top, left, bottom, right); they grow while a plan is
            written.
        border_code: what the border holds; None: there is none yet.
        offset: bytes from the arena's start; known when the plan is complete.
    """

    height: int
    width: int
    channels: int
    item: int = 1
    zero: int = 128
    pitch: int = 0
    edges: Quad = NO_EDGES
    border_code: int | None = None
    offset: int = -1

    def __post_init__(self) -> None:
        if not self.pitch:
            self.pitch = align_up(self.channels, CHANNELS) * self.item

    @property
    def row(self) -> int:
        return (self.edges[1] + self.width + self.edges[3]) * self.pitch

    @property
    def size_bytes(self) -> int:
        return (self.edges[0] + self.height + self.edges[2]) * self.row

    def widen_border(self, edges: Quad) -> None:
        """Let the border be at least so wide."""
        top, left, bottom, right = (max(a, b) for a, b in zip(self.edges, edges, strict=True))
        self.edges = (top, left, bottom, right)

    def whole(self) -> View:
        return View(self, 0, 0, 0, self.height, self.width, self.channels)


@dataclass(frozen=True, slots=True)
class View:
    """A box of a buffer, every `row_step`-th row and `pixel_step`-th pixel of it."""

    buffer: Buffer
    top: int
    left: int
    first: int
    height: int
    width: int
    channels: int
    row_step: int = 1
    pixel_step: int = 1

    @property
    def zero(self) -> int:
        return self.buffer.zero

    def zero_for(self, code: int) -> int:
        """The zero of a copy that also holds `code`."""
        return self.zero if code + self.zero >= 0 else 128

    @property
    def is_whole(self) -> bool:
        """All pixels of the buffer; perhaps not all channels."""
        buffer = self.buffer
        return (self.height, self.width) == (buffer.height, buffer.width) and (
            self.row_step == self.pixel_step == 1
        )

    def take(self, first: int, count: int) -> View:
        """Some of its channels."""
        return replace(self, first=self.first + first, channels=count)

    def box(
        self, top: int, left: int, height: int, width: int, row_step: int = 1, pixel_step: int = 1
    ) -> View:
        """A box of it, in its own rows and pixels."""
        return replace(
            self,
            top=self.top + top * self.row_step,
            left=self.left + left * self.pixel_step,
            height=height,
            width=width,
            row_step=self.row_step * row_step,
            pixel_step=self.pixel_step * pixel_step,
        )

    def spec(self) -> TensorSpec:
        """As the kernels see it."""
        buffer = self.buffer
        at = (
            buffer.offset
            + (buffer.edges[0] + self.top) * buffer.row
            + (buffer.edges[1] + self.left) * buffer.pitch
            + self.first * buffer.item
        )
        return TensorSpec(
            at,
            buffer.row * self.row_step,
            buffer.pitch * self.pixel_step,
            self.height,
            self.width,
            self.channels,
            buffer.zero,
            buffer.item,
        )


Fields: TypeAlias = Mapping[str, int | Sequence[int] | AnyArray]
"""Fields of an `OpSpec`; arrays stand for their addresses."""


@dataclass(slots=True)
class Step:
    """One operation of a plan.

    Attributes:
        source: the operation of the network it belongs to.
    """

    kind: Kind
    x: View | None = None
    y: View | None = None
    z: View | None = None
    values: Fields = field(default_factory=dict)
    source: str = ""

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        return tuple(view.buffer for view in (self.x, self.y, self.z) if view is not None)

    def drop_arrays(self) -> None:
        """Keep of the values those that describe the step: weights and tables take much memory."""
        self.values = {k: v for k, v in self.values.items() if not isinstance(v, np.ndarray)}


def place(steps: Iterable[Step]) -> int:
    """Give every buffer of the steps its offset: first fit over their lives; the arena's bytes.

    A buffer lives from the first step that touches it to the last one.
    """
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for index, step in enumerate(steps):
        for buffer in step.buffers:
            first.setdefault(buffer, index)
            last[buffer] = index
    taken: list[tuple[int, int, Buffer]] = []
    arena_bytes = 0
    for buffer, start in first.items():
        size = align_up(buffer.size_bytes + ALIGN_BYTES, ALIGN_BYTES)
        taken = [item for item in taken if last[item[2]] >= start]
        at = 0
        for begin, end, _ in sorted(taken, key=lambda item: item[:2]):
            if begin - at >= size:
                break
            at = max(at, end)
        taken.append((at, at + size, buffer))
        buffer.offset = at
        arena_bytes = max(arena_bytes, at + size)
    return arena_bytes


def contiguous(values: object, dtype: type[np.generic]) -> AnyArray:
    """An array that the kernels can read through a pointer."""
    return np.ascontiguousarray(values, dtype)
