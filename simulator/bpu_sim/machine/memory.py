"""A modelled memory: bytes, and which of them have been written since it became undefined."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bpu_common.errors import DeviceFault
from bpu_common.program import Space, Tile
from bpu_common.tensor import U8, AnyArray

_T = TypeVar("_T", bound=np.generic)
Flags: TypeAlias = NDArray[np.bool_]


class Reading(NamedTuple):
    """A tile that somebody reads, and which of its bytes are defined (shared with the memory)."""

    tile: Tile
    written: Flags

    def check(self) -> None:
        """Raise DeviceFault unless every byte has been written."""
        if not self.written.all():
            missing = self.written.size - np.count_nonzero(self.written)
            raise DeviceFault(
                f"reads {describe(self.tile)}, of which {missing} bytes were never written"
            )


class Memory:
    """One address space: bytes, and flags of those that are defined.

    Places are checked when somebody asks for one; who then reads or writes keeps the flags.

    Args:
        data: the bytes; a read-only array makes a memory that is wholly defined and never written.

    Attributes:
        address: of its first byte, for compiled code.
    """

    def __init__(self, space: Space, data: U8) -> None:
        self._space = space
        self._data = data
        self._written = np.zeros(data.size, np.bool_) if data.flags.writeable else None
        self.address: int = data.ctypes.data

    def forget(self) -> None:
        """Make the contents undefined."""
        if self._written is not None:
            self._written[:] = False

    def view(self, tile: Tile) -> AnyArray:
        """The elements of a tile, (H, W, C), sharing memory; bounds must have been checked."""
        pitches = (tile.row_pitch_bytes, tile.pixel_pitch_bytes, tile.dtype.size_bytes)
        return np.ndarray(
            tile.shape_hwc, tile.dtype.numpy, self._data.data, tile.offset_bytes, pitches
        )

    def reading(self, tile: Tile) -> Reading | None:
        """What a reader of a tile must find written; None where all is.

        Raises:
            DeviceFault: the tile does not lie inside.
        """
        self._check_place(tile, "reads")
        return None if self._written is None else Reading(tile, byte_view(self._written, tile))

    def writing(self, tile: Tile) -> Flags:
        """What a writer of a tile sets: which bytes are defined then.

        Raises:
            DeviceFault: the tile does not lie inside, or two of its elements overlap.
        """
        self._check_place(tile, "writes")
        if self._written is None:
            raise DeviceFault(f"writes {describe(tile)}, which is read-only")
        height, width, channels = tile.shape_hwc
        run = channels * tile.dtype.size_bytes
        row = (width - 1) * tile.pixel_pitch_bytes + run
        if (width > 1 and tile.pixel_pitch_bytes < run) or (
            height > 1 and tile.row_pitch_bytes < row
        ):
            raise DeviceFault(f"writes {describe(tile)}, whose elements overlap")
        return byte_view(self._written, tile)

    def _check_place(self, tile: Tile, verb: str) -> None:
        if min(tile.shape_hwc) < 1:
            raise DeviceFault(f"{verb} an empty tile of shape {tile.shape_hwc}")
        if min(tile.offset_bytes, tile.row_pitch_bytes, tile.pixel_pitch_bytes) < 0:
            raise DeviceFault(f"{verb} {describe(tile)} with a negative offset or pitch")
        if tile.end_bytes > self._data.size:
            raise DeviceFault(
                f"{verb} {describe(tile)}, but {self._space.name} has {self._data.size} bytes"
            )
        size = tile.dtype.size_bytes
        if tile.offset_bytes % size or tile.row_pitch_bytes % size or tile.pixel_pitch_bytes % size:
            raise DeviceFault(f"{verb} {describe(tile)}, misaligned for {tile.dtype.value}")


def byte_view(flat: NDArray[_T], tile: Tile) -> NDArray[_T]:
    """The entries of `flat` (one per byte of the space) that belong to a tile, sharing memory."""
    height, width, channels = tile.shape_hwc
    run = channels * tile.dtype.size_bytes
    item = flat.itemsize
    if tile.pixel_pitch_bytes == run and tile.row_pitch_bytes == width * run:
        return flat[tile.offset_bytes : tile.offset_bytes + math.prod((height, width, run))]
    pitches = (tile.row_pitch_bytes * item, tile.pixel_pitch_bytes * item, item)
    return np.ndarray(
        (height, width, run), flat.dtype, flat.data, tile.offset_bytes * item, pitches
    )


def describe(tile: Tile) -> str:
    """A tile in words for a fault."""
    shape = "x".join(map(str, tile.shape_hwc))
    return (
        f"{tile.space.name} bytes [{tile.offset_bytes}, {tile.end_bytes}) "
        f"({shape} {tile.dtype.value}, pitches {tile.row_pitch_bytes}/{tile.pixel_pitch_bytes})"
    )
