"""The event kernel: its order is exactly (time, tie, insertion)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bpu_sim.device import Kernel, Tie


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Tie)))))
def test_order_is_time_then_tie_then_insertion(entries: list[tuple[int, Tie]]) -> None:
    kernel = Kernel()
    seen: list[tuple[int, int, int]] = []
    for number, (time_ns, tie) in enumerate(entries):
        kernel.at(time_ns, tie, lambda now, entry: seen.append((now, *entry)), (tie, number))
    while len(kernel):
        kernel.step()
    assert seen == sorted((time_ns, tie, n) for n, (time_ns, tie) in enumerate(entries))


def test_actions_scheduled_now_run_after_those_already_there() -> None:
    kernel = Kernel()
    seen: list[str] = []

    def note(_: int, text: str) -> None:
        seen.append(text)

    def first(now_ns: int, _: None) -> None:
        kernel.at(now_ns, Tie.COMPLETION, note, "inserted")

    kernel.at(3, Tie.COMPLETION, first)
    kernel.at(3, Tie.COMPLETION, note, "was there")
    kernel.at(3, Tie.ARRIVAL, note, "arrival")
    while len(kernel):
        kernel.step()
    assert seen == ["was there", "inserted", "arrival"]


def nothing(_now_ns: int, _argument: object) -> None:
    pass


def test_the_past_is_now() -> None:
    kernel = Kernel()
    kernel.at(10, Tie.ARRIVAL, lambda _now, _: kernel.at(4, Tie.ARRIVAL, nothing))
    kernel.step()
    assert kernel.next_ns() == 10


def test_run_stops_at_the_bound_and_after_an_entry() -> None:
    kernel, outbox = Kernel(), list[object]()
    kernel.at(1, Tie.ARRIVAL, nothing)
    kernel.at(2, Tie.ARRIVAL, lambda _now, entry: outbox.append(entry), "entry")
    kernel.at(3, Tie.ARRIVAL, nothing)
    assert kernel.run(None, outbox)
    assert kernel.now_ns == 2
    outbox.clear()
    assert not kernel.run(2, outbox)
    assert not kernel.run(None, outbox)
    assert kernel.now_ns == 3
