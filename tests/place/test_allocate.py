"""Addresses: what lives at the same time never shares bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.program import Space
from bpu_host.compiler.place.allocate import Wish, allocate
from bpu_host.compiler.place.memory import BUFFER_ALIGN, Buffer


@st.composite
def wish_lists(draw: st.DrawFn) -> list[Wish]:
    wishes = []
    for index in range(draw(st.integers(1, 25))):
        first = draw(st.integers(0, 200))
        last = first + draw(st.integers(0, 80))
        size = draw(st.integers(1, 20)) * BUFFER_ALIGN
        buffer = Buffer(f"b{index}", Space.SRAM, size, first=first, last=last)
        early, late = max(0, first - draw(st.integers(0, 9))), last + draw(st.integers(0, 9))
        wishes.append(Wish(buffer, early, late, resident=draw(st.booleans())))
    return wishes


@settings(max_examples=150, deadline=None, derandomize=True)
@given(wish_lists())
def test_living_buffers_are_apart(wishes: list[Wish]) -> None:
    used, failed = allocate(wishes, None)
    assert failed is None
    for i, a in enumerate(w.buffer for w in wishes):
        assert a.offset_bytes % BUFFER_ALIGN == 0
        assert a.offset_bytes + a.size_bytes <= used
        for b in (w.buffer for w in wishes[:i]):
            together = a.first <= b.last and b.first <= a.last
            apart = (
                a.offset_bytes + a.size_bytes <= b.offset_bytes
                or b.offset_bytes + b.size_bytes <= a.offset_bytes
            )
            assert apart or not together


@settings(max_examples=100, deadline=None, derandomize=True)
@given(wish_lists())
def test_what_fits_is_never_lost_to_wishes(wishes: list[Wish]) -> None:
    """A capacity that holds every buffer for its needed life also works with longer wishes."""
    plain = [Wish(w.buffer, w.buffer.first, w.buffer.last, w.resident) for w in wishes]
    used, _ = allocate(plain, None)
    again, failed = allocate(wishes, used)
    assert failed is None
    assert again <= used


def test_a_buffer_that_does_not_fit_is_named() -> None:
    buffers = [Buffer(name, Space.SRAM, 128, first=0, last=1) for name in ("a", "b", "c")]
    _, failed = allocate([Wish(b, 0, 1) for b in buffers], 256)
    assert failed is buffers[2]
