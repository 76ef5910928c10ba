"""Frames that stand still because they have lost their core, and what runs there meanwhile."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bpu_common.telemetry import CallSlice


@dataclass(frozen=True, slots=True)
class Gap:
    """A frame lost core `core` at `start_ns` and went on at `end_ns`, or stands until then."""

    core: int
    task: int
    model: str
    start_ns: int
    end_ns: int


def gaps(calls: Sequence[CallSlice], now_ns: int) -> list[Gap]:
    """The times in which a frame stood still.

    Args:
        calls: function calls of all cores, by start.
        now_ns: the end of those that still last.
    """
    found = []
    resumed: dict[int, int] = {}  # by task: when its next call began
    for call in reversed(calls):
        if call.preempted_by >= 0:
            end_ns = resumed.get(call.task, now_ns)
            found.append(Gap(call.core, call.task, call.model, call.end_ns, end_ns))
        resumed[call.task] = call.start_ns
    found.reverse()
    return found


def on_cores(calls: Sequence[CallSlice]) -> dict[int, list[CallSlice]]:
    """Calls by core, in the order given."""
    found: dict[int, list[CallSlice]] = defaultdict(list)
    for call in calls:
        found[call.core].append(call)
    return found


def ran_meanwhile(gap: Gap, on_core: Sequence[CallSlice]) -> Iterator[tuple[CallSlice, int]]:
    """The calls within the gap, and how long each was; `on_core`: those of its core by start."""
    first = bisect_left(on_core, gap.start_ns, key=lambda call: call.start_ns)
    for call in on_core[max(0, first - 1) :]:
        if call.start_ns >= gap.end_ns:
            return
        inside_ns = min(call.end_ns, gap.end_ns) - max(call.start_ns, gap.start_ns)
        if inside_ns > 0 and call.task != gap.task:
            yield call, inside_ns


def parked_ns(calls: Sequence[CallSlice], start_ns: int, now_ns: int) -> dict[str, dict[str, int]]:
    """How long frames of each model stood still while another model ran on their core.

    Args:
        calls: by start; those before `start_ns` say who was parked then.

    Returns:
        ns by model that waited and by model that ran, between `start_ns` and `now_ns`.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_core = on_cores(calls)
    for gap in gaps(calls, now_ns):
        inside = replace(gap, start_ns=max(gap.start_ns, start_ns))
        for call, part_ns in ran_meanwhile(inside, by_core[gap.core]):
            if call.model != gap.model:
                found[gap.model][call.model] += part_ns
    return {model: dict(others) for model, others in found.items()}
