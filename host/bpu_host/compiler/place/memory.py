"""Where values lie while a program is drafted: boxes of a tensor, buffers, strided views.

A `Box` is a part of a tensor, a `Buffer` a stretch of memory, a `View` says where the elements of a
box lie in a buffer. Addresses count from the start of the buffer until `allocate` gives it one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from bpu_common.program import Space, Tile
from bpu_common.tensor import DType, align_up

Range: TypeAlias = tuple[int, int]
"""Half-open interval [start, stop)."""

BUFFER_ALIGN = 64


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a tensor: rows, columns and channels, each half-open, in tensor coordinates."""

    rows: Range
    cols: Range
    chans: Range

    @property
    def shape_hwc(self) -> tuple[int, int, int]:
        return (
            self.rows[1] - self.rows[0],
            self.cols[1] - self.cols[0],
            self.chans[1] - self.chans[0],
        )

    @property
    def elements(self) -> int:
        h, w, c = self.shape_hwc
        return h * w * c


def whole(shape_hwc: tuple[int, int, int]) -> Box:
    """The box of a whole tensor."""
    h, w, c = shape_hwc
    return Box((0, h), (0, w), (0, c))


def blocks(span: Range, size: int, quantum: int = 1) -> tuple[Range, ...]:
    """Cut `span` into nearly equal pieces of at most `size` (a multiple of `quantum`)."""
    start, stop = span
    size = max(quantum, size // quantum * quantum)
    count = -(-(stop - start) // size)
    step = min(size, align_up(-(-(stop - start) // count), quantum))
    return tuple((at, min(at + step, stop)) for at in range(start, stop, step))


@dataclass(slots=True, eq=False)
class Buffer:
    """A stretch of one address space with a life in instruction indices.

    The life [first, last] is needed: without it the program is wrong. The longer life that `early`,
    `further` and `late_tile` ask for is a wish: without it the queues wait for each other more.

    Attributes:
        first, last: indices of the first and last instruction that touches it; -1 if none yet.
        early: index from which it should be reserved already, so that a load can run ahead.
        further: indices before that, nearest first: the earlier the better where there is room.
        late_tile: tile until whose end it should stay reserved, so that a store can lag behind.
        offset_bytes: address; fixed from the start for IO, else given by the allocator.
    """

    name: str
    space: Space
    size_bytes: int
    offset_bytes: int = -1
    first: int = -1
    last: int = -1
    early: int = -1
    further: tuple[int, ...] = ()
    late_tile: int = -1

    def touch(self, index: int) -> None:
        """Note that instruction `index` uses the buffer."""
        if self.first < 0:
            self.first = index
        self.last = index


@dataclass(frozen=True, slots=True)
class Operand:
    """A tile relative to its buffer."""

    tile: Tile
    buffer: Buffer


@dataclass(frozen=True, slots=True)
class View:
    """A strided window on a buffer that holds the elements of `box` of some tensor."""

    buffer: Buffer
    box: Box
    offset_bytes: int
    row_pitch_bytes: int
    pixel_pitch_bytes: int
    dtype: DType

    def part(self, box: Box) -> Operand:
        """The tile of `box`, which must lie inside `self.box`."""
        at = (
            self.offset_bytes
            + (box.rows[0] - self.box.rows[0]) * self.row_pitch_bytes
            + (box.cols[0] - self.box.cols[0]) * self.pixel_pitch_bytes
            + (box.chans[0] - self.box.chans[0]) * self.dtype.size_bytes
        )
        tile = Tile(
            self.buffer.space,
            at,
            box.shape_hwc,
            self.row_pitch_bytes,
            self.pixel_pitch_bytes,
            self.dtype,
        )
        return Operand(tile, self.buffer)

    def derive(self, affine: Affine, box: Box) -> View:
        """The same memory seen in the coordinates of a tensor that is `affine` of this one.

        `box` is in the coordinates of the derived tensor, and `affine.apply(box)` lies in `self`.
        """
        inner = self.part(affine.apply(box)).tile
        return replace(
            self,
            box=box,
            offset_bytes=inner.offset_bytes,
            row_pitch_bytes=self.row_pitch_bytes * affine.step_hw[0],
            pixel_pitch_bytes=self.pixel_pitch_bytes * affine.step_hw[1],
        )


@dataclass(frozen=True, slots=True)
class Affine:
    """Element (h, w, c) of a tensor is element (h*sh + oh, w*sw + ow, c + oc) of another one."""

    offset_hwc: tuple[int, int, int] = (0, 0, 0)
    step_hw: tuple[int, int] = (1, 1)

    def apply(self, box: Box) -> Box:
        """Smallest box of the other tensor that covers `box`."""
        oh, ow, oc = self.offset_hwc
        sh, sw = self.step_hw
        return Box(
            (box.rows[0] * sh + oh, (box.rows[1] - 1) * sh + oh + 1),
            (box.cols[0] * sw + ow, (box.cols[1] - 1) * sw + ow + 1),
            (box.chans[0] + oc, box.chans[1] + oc),
        )

    def after(self, inner: Affine) -> Affine:
        """The map of a tensor that is `inner` of a tensor that is `self` of the root."""
        oh, ow, oc = self.offset_hwc
        ih, iw, ic = inner.offset_hwc
        sh, sw = self.step_hw
        return Affine(
            (ih * sh + oh, iw * sw + ow, ic + oc), (inner.step_hw[0] * sh, inner.step_hw[1] * sw)
        )


def dense_bytes(shape_hwc: tuple[int, int, int], dtype: DType) -> int:
    """Bytes of a packed box, rounded up to what a buffer takes."""
    h, w, c = shape_hwc
    return align_up(h * w * c * dtype.size_bytes, BUFFER_ALIGN)


def dense_view(buffer: Buffer, box: Box, dtype: DType) -> View:
    """A packed view of `box` at the start of `buffer`."""
    _, w, c = box.shape_hwc
    return View(buffer, box, 0, w * c * dtype.size_bytes, c * dtype.size_bytes, dtype)


def ddr_view(buffer: Buffer, shape_hwc: tuple[int, int, int], dtype: DType, align: int) -> View:
    """A whole tensor in DDR, its rows padded to a multiple of `align` pixels."""
    _, w, c = shape_hwc
    pixel = c * dtype.size_bytes
    return View(buffer, whole(shape_hwc), 0, align_up(w, align) * pixel, pixel, dtype)
