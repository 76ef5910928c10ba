"""The last function calls of all cores, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from bpu_common.telemetry import CallSlice

KEPT_CALLS = 4096
"""Older calls are forgotten; whoever asks too late learns how many he missed."""

Record: TypeAlias = "list[int | str]"


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

    def since(self, mark: int, running: tuple[CallSlice, ...], limit: int) -> Calls:
        """What has ended since `mark`, the newest first kept, and `running`, `limit` in all."""
        wanted = max(0, self.mark - mark)
        count = min(wanted, len(self._records), limit - len(running))
        ended = islice(self._records, len(self._records) - count, None)
        slices = tuple(CallSlice(*each) for each in ended)  # type: ignore[arg-type]
        return Calls(slices + running, wanted - count, self.mark)
