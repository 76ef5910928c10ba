"""The last function calls of all cores, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from bpu_common.telemetry import CallSlice

KEPT_CALLS = 4096
"""Older calls are forgotten; whoever asks too late learns how many he missed."""

Record: TypeAlias = "list[Any]"


@dataclass(frozen=True, slots=True)
class Calls:
    """Function calls since a mark.

    Attributes:
        slices: in order of their ends, then those that still run.
        dropped: older ones that were forgotten or did not fit.
        mark: ask with it next time.
    """

    slices: tuple[CallSlice, ...]
    dropped: int
    mark: int


class CallTrace:
    """Records the ends of function calls; the owner holds a lock.

    Attributes:
        mark: how many calls have ended since the start.
    """

    __slots__ = ("_records", "mark")

    def __init__(self, kept: int = KEPT_CALLS) -> None:
        self._records: deque[Record] = deque(maxlen=kept)
        self.mark = 0

    def ended(self, record: Record) -> None:
        """A function call is complete.

        Args:
            record: core, task, model, call, name, start and end in ns, -1.
        """
        self._records.append(record)
        self.mark += 1

    def parked(self, core: int, task: int, other: int) -> None:
        """`task` lost `core` to `other` at the end of the call that has just ended there."""
        last = self._records[-1] if self._records else None
        if last is not None and last[0] == core and last[1] == task:
            last[7] = other

    def repeat(self, count: int, times: int, time_ns: int, tasks: int) -> None:
        """The last `count` calls, of which none is forgotten, have happened again `times` times.

        Args:
            time_ns: how much later each time.
            tasks: by how much the numbers of the tasks were larger each time.
        """
        records = self._records
        last = list(islice(records, len(records) - count, None))
        kept = min(times, KEPT_CALLS // count + 1) if count else 0
        for nth in range(times - kept + 1, times + 1):
            later_ns, more = nth * time_ns, nth * tasks
            for core, task, model, call, name, start_ns, end_ns, other in last:
                other = other + more if other >= 0 else -1
                records.append(
                    [
                        core,
                        task + more,
                        model,
                        call,
                        name,
                        start_ns + later_ns,
                        end_ns + later_ns,
                        other,
                    ]
                )
        self.mark += times * count

    def since(self, mark: int, running: tuple[CallSlice, ...], limit: int) -> Calls:
        """What has ended since `mark`, the newest first kept, and `running`, `limit` in all."""
        wanted = max(0, self.mark - mark)
        count = min(wanted, len(self._records), limit - len(running))
        ended = islice(self._records, len(self._records) - count, None)
        slices = tuple(CallSlice(*each) for each in ended)
        return Calls(slices + running, wanted - count, self.mark)
