"""Recent telemetry of one board in bounded memory.

Frames come in order and are kept as the bytes the board sent. Every so many of them are compressed
together. What is older than the span is forgotten. What does not fit loses its detail first, then
is forgotten, each oldest first.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from bpu_common.daemon import HISTORY_NS

BLOCK_FRAMES = 32
BLOCK_BYTES = 256 << 10
"""A block is closed when it has so many frames or bytes."""

_LEVEL = 1  # of zlib: frames resemble each other so much that more gains little
_HEADER = struct.Struct("<qI")
_BLOCK_OVERHEAD_BYTES = 256  # objects of one block
_FRAME_OVERHEAD_BYTES = 160  # objects of one frame that is not in a block yet


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """A frame and when it came (monotonic clock of this host)."""

    at_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Block:
    data: bytes
    count: int
    first_ns: int
    last_ns: int

    @property
    def size_bytes(self) -> int:
        return len(self.data) + _BLOCK_OVERHEAD_BYTES

    @classmethod
    def of(cls, frames: Iterable[KeptFrame]) -> Self:
        """A block of one frame or more."""
        parts: list[bytes] = []
        times: list[int] = []
        for frame in frames:
            parts += (_HEADER.pack(frame.at_ns, len(frame.data)), frame.data)
            times.append(frame.at_ns)
        return cls(zlib.compress(b"".join(parts), _LEVEL), len(times), times[0], times[-1])

    def frames(self) -> Iterator[KeptFrame]:
        plain = zlib.decompress(self.data)
        offset = 0
        while offset < len(plain):
            at_ns, size = _HEADER.unpack_from(plain, offset)
            offset += _HEADER.size
            yield KeptFrame(at_ns, plain[offset : offset + size])
            offset += size


class History:
    """Frames of one board, for one thread at a time.

    Args:
        limit_bytes: of memory; `size_bytes` never exceeds it.
        span_ns: age at which a frame is forgotten.
        thin: makes a frame smaller that would not fit otherwise.
    """

    def __init__(
        self,
        limit_bytes: int,
        span_ns: int = HISTORY_NS,
        thin: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._thin = thin
        self._thinned = 0  # blocks at the beginning that are thin
        self._limit_bytes = limit_bytes
        self._span_ns = span_ns
        self._blocks: deque[_Block] = deque()
        self._blocks_bytes = 0
        self._open: deque[KeptFrame] = deque()
        self._open_bytes = 0
        self._count = 0
        self.dropped = 0
        """Frames younger than the span that were forgotten because they did not fit."""

    @property
    def size_bytes(self) -> int:
        """Memory taken, objects included."""
        return self._blocks_bytes + self._open_bytes

    @property
    def count(self) -> int:
        return self._count

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest frame came."""
        if self._blocks:
            return self._blocks[0].first_ns
        return self._open[0].at_ns if self._open else None

    def append(self, data: bytes, at_ns: int) -> None:
        """Keep a frame; times must not decrease."""
        self._open.append(KeptFrame(at_ns, data))
        self._open_bytes += len(data) + _FRAME_OVERHEAD_BYTES
        self._count += 1
        if len(self._open) >= BLOCK_FRAMES or self._open_bytes >= BLOCK_BYTES:
            self._close_block()
        self.trim(at_ns)

    def trim(self, now_ns: int) -> None:
        """Forget what is too old at this time, and what does not fit."""
        horizon_ns = now_ns - self._span_ns
        while self._blocks and self._blocks[0].last_ns < horizon_ns:
            self._forget_block()
        while not self._blocks and self._open and self._open[0].at_ns < horizon_ns:
            self._forget_frame()
        self._fit()

    def set_limit(self, limit_bytes: int) -> None:
        """Another bound from now on."""
        self._limit_bytes = limit_bytes
        self._fit()

    def since(self, from_ns: int) -> Iterator[KeptFrame]:
        """Frames that came at or after a time, oldest first, as they are now.

        The iterator reads a block at a time; what is appended or forgotten meanwhile does not
        change what it gives.
        """
        return _read(tuple(self._blocks), tuple(self._open), from_ns)

    def _fit(self) -> None:
        """Become as small as the limit says."""
        while self.size_bytes > self._limit_bytes:
            if self._thin is not None and self._thinned < len(self._blocks):
                self._thin_block(self._thin)
            elif self._blocks:
                self.dropped += self._forget_block()
            else:
                self.dropped += self._forget_frame()

    def _thin_block(self, thin: Callable[[bytes], bytes]) -> None:
        old = self._blocks[self._thinned]
        new = _Block.of(KeptFrame(frame.at_ns, thin(frame.data)) for frame in old.frames())
        self._blocks[self._thinned] = new
        self._blocks_bytes += new.size_bytes - old.size_bytes
        self._thinned += 1

    def _close_block(self) -> None:
        block = _Block.of(self._open)
        self._blocks.append(block)
        self._blocks_bytes += block.size_bytes
        self._open.clear()
        self._open_bytes = 0

    def _forget_block(self) -> int:
        block = self._blocks.popleft()
        self._thinned = max(0, self._thinned - 1)
        self._blocks_bytes -= block.size_bytes
        self._count -= block.count
        return block.count

    def _forget_frame(self) -> int:
        frame = self._open.popleft()
        self._open_bytes -= len(frame.data) + _FRAME_OVERHEAD_BYTES
        self._count -= 1
        return 1


def _read(
    blocks: tuple[_Block, ...], last: tuple[KeptFrame, ...], from_ns: int
) -> Iterator[KeptFrame]:
    for block in blocks:
        if block.last_ns >= from_ns:
            yield from (frame for frame in block.frames() if frame.at_ns >= from_ns)
    yield from (frame for frame in last if frame.at_ns >= from_ns)
