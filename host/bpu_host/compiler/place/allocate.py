"""Addresses: buffers with lives in instruction indices are packed into a memory, first fit.

Two buffers may share bytes if their lives do not meet. Needs come before wishes: a buffer that must
live [first, last] would like to live longer, so that its load can run ahead or its store lag
behind. Wishes use only what needs have left, so what fits without overlap fits with it.

First fit never looks back: buffers whose sizes add up to less than the memory at all times may
still find no addresses. Then the planner gives way (`program`); other orders are not tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bpu_common.tensor import align_up
from bpu_host.compiler.place.memory import BUFFER_ALIGN, Buffer

SPAN = 64
"""Lives are looked up by stretches of so many instructions."""


@dataclass(slots=True, eq=False)
class Reservation:
    """A buffer's place: life [start, end] (inclusive) at an address."""

    buffer: Buffer
    start: int
    end: int
    offset_bytes: int = 0


@dataclass(slots=True, eq=False)
class Arena:
    """Reservations of one memory of `capacity_bytes` (None: as large as it gets)."""

    capacity_bytes: int | None
    _by_span: dict[int, list[Reservation]] = field(default_factory=dict)
    used_bytes: int = 0

    def place(self, item: Reservation) -> bool:
        """Reserve the lowest free address for the whole life of `item`; False if there is none."""
        taken = sorted({(r.offset_bytes, _end(r)) for r in self._neighbours(item)})
        at = 0
        for start, end in taken:
            if at + item.buffer.size_bytes <= start:
                break
            at = max(at, align_up(end, BUFFER_ALIGN))
        if self.capacity_bytes is not None and at + item.buffer.size_bytes > self.capacity_bytes:
            return False
        item.offset_bytes = at
        self.used_bytes = max(self.used_bytes, at + item.buffer.size_bytes)
        for span in range(item.start // SPAN, item.end // SPAN + 1):
            self._by_span.setdefault(span, []).append(item)
        return True

    def remove(self, item: Reservation) -> None:
        """Take a reservation back."""
        for span in range(item.start // SPAN, item.end // SPAN + 1):
            self._by_span[span].remove(item)

    def _neighbours(self, item: Reservation) -> Iterable[Reservation]:
        for span in range(item.start // SPAN, item.end // SPAN + 1):
            for other in self._by_span.get(span, ()):
                if other.start <= item.end and item.start <= other.end:
                    yield other


def _end(item: Reservation) -> int:
    return item.offset_bytes + item.buffer.size_bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """A buffer and the longer life it would like to have.

    Attributes:
        further: even earlier starts, nearest first.
        resident: holds a whole tensor over several units; placed before the temporaries.
    """

    buffer: Buffer
    early: int
    late: int
    resident: bool = False
    further: tuple[int, ...] = ()


def allocate(wishes: Sequence[Wish], capacity_bytes: int | None) -> tuple[int, Buffer | None]:
    """Give every used buffer an address (`offset_bytes`).

    First every buffer gets a place for the life it needs, residents first; then, in program order,
    buffers are moved to where their wished life fits too, if there is such a place; then, step by
    step, to where they can begin still further ahead: all of them one unit before any of them two.

    Returns:
        bytes used, and the buffer that did not fit (None: all is well).
    """
    arena = Arena(capacity_bytes)
    needs = [
        (w, Reservation(w.buffer, w.buffer.first, w.buffer.last))
        for w in wishes
        if w.buffer.first >= 0
    ]
    needs.sort(key=_order)
    for _, item in needs:
        if not arena.place(item):
            return arena.used_bytes, item.buffer
    for wish, item in sorted(needs, key=lambda n: (n[1].start, n[1].buffer.name)):
        if wish.early < item.start or wish.late > item.end:
            _extend(arena, wish, item)
    for depth in range(max((len(w.further) for w, _ in needs), default=0)):
        for wish, item in sorted(needs, key=lambda n: (n[1].buffer.first, n[1].buffer.name)):
            if depth < len(wish.further) and wish.further[depth] < item.start <= wish.early:
                _extend(arena, replace(wish, early=wish.further[depth], late=item.end), item)
    for _, item in needs:
        item.buffer.offset_bytes = item.offset_bytes
    return arena.used_bytes, None


def _order(need: tuple[Wish, Reservation]) -> tuple[int, int, int, str]:
    """Residents first, by space times life; then temporaries in program order, large ones first.

    What is long and large is the hardest to place among others, so it comes while all is free.
    """
    wish, item = need
    size = item.buffer.size_bytes
    if wish.resident:
        return (0, -size * (item.end - item.start + 1), item.start, item.buffer.name)
    return (1, item.start, -size, item.buffer.name)


def _extend(arena: Arena, wish: Wish, item: Reservation) -> None:
    """Move `item` to where it can live longer: at both ends, else at the start, else at the end."""
    arena.remove(item)
    old = (item.start, item.end)
    options = ((wish.early, wish.late), (wish.early, old[1]), (old[0], wish.late))
    for start, end in options:
        item.start, item.end = min(start, old[0]), max(end, old[1])
        if arena.place(item):
            return
    item.start, item.end = old
    arena.place(item)  # its old place is still free
