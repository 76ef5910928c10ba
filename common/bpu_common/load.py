"""Loads: frames of a model that a board makes by itself until it is told to stop."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bpu_common.errors import UsageError
from bpu_common.perf import MAX_THREADS
from bpu_common.task import CORE_ANY, PRIORITY_HIGHEST, PRIORITY_LOWEST

MIN_RATE_HZ, MAX_RATE_HZ = 0.001, 10_000.0
MAX_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A load to start.

    Attributes:
        model: name or digest.
        name: of the load; empty: the board chooses one.
        threads: closed loop: frames in flight, each followed by the next; more than `MAX_THREADS`
            act as that many.
        rate_hz: open loop: frames per second, whatever becomes of them (see `arrivals`); 0: closed
            loop.
        core_id: 0 any core, 1 core 0, 2 core 1.
        seed: of the arrival times of an open loop.
    """

    model: str
    name: str = ""
    threads: int = 1
    rate_hz: float = 0.0
    core_id: int = CORE_ANY
    priority: int = PRIORITY_LOWEST
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a value out of range; the message names it and its range.
        """
        if self.threads < 1:
            raise UsageError(f"threads {self.threads} is not in [1,{MAX_THREADS}]")
        if self.rate_hz != 0 and not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise UsageError(
                f"rate {self.rate_hz} Hz is not 0 and not in [{MIN_RATE_HZ:g},{MAX_RATE_HZ:g}]"
            )
        if not PRIORITY_LOWEST <= self.priority <= PRIORITY_HIGHEST:
            raise UsageError(
                f"priority {self.priority} is not in [{PRIORITY_LOWEST},{PRIORITY_HIGHEST}]"
            )
        if len(self.name) > MAX_NAME_LENGTH or not (self.name or "x").isprintable():
            raise UsageError(
                f"a load's name has at most {MAX_NAME_LENGTH} characters, all of them printable"
            )
        object.__setattr__(self, "threads", min(self.threads, MAX_THREADS))


@dataclass(frozen=True, slots=True)
class LoadState:
    """A load that runs, or as it was when it was stopped.

    Attributes:
        request: what was asked for, `request.name` as given.
        started_ns: device time.
        failed: frames that the device gave up.
        refused: frames that found the queue full; a closed loop tries again, an open one goes on.
    """

    name: str
    request: LoadRequest
    started_ns: int
    submitted: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0


def arrivals(rate_hz: float, seed: int) -> Iterator[int]:
    """Arrival times of an open loop in ns from its start, ascending, without end.

    One frame in each period, as a camera gives them, uniformly anywhere in the period's first half:
    the distance of two is between half a period and one and a half, and they do not fall into step
    with anything else on the chip.
    """
    generator = random.Random(seed)
    period_ns = 1e9 / rate_hz
    index = 0
    while True:
        yield round((index + generator.uniform(0.0, 0.5)) * period_ns)
        index += 1
