"""What the Open Inference Protocol asks of a board and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.board import InferRequest

VERSION = "1"
"""Every model has this one version; a newer file of the same name replaces it."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedInference:
    """One frame to run.

    Attributes:
        id: the caller's, returned as it is.
        outputs: names of the outputs that are wanted; empty: all.
        start_within_s: dropped if it has not been started by then; None: no limit.
    """

    request: InferRequest
    id: str = ""
    outputs: tuple[str, ...] = ()
    start_within_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model of the repository; `reason` says why it is not ready."""

    name: str
    ready: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelTotals:
    """Cumulative figures of one model; times are device time unless they say otherwise.

    Attributes:
        failed: ended without a result, for whatever reason.
        latency_ns: of all frames that are done; `pending_ns`: the part spent waiting.
        host_ns: host time in which their outputs were computed, beside the latency.
        last_ms: when the last frame was done, ms since the Unix epoch; 0: never.
    """

    name: str
    done: int
    failed: int
    latency_ns: int
    pending_ns: int
    host_ns: int
    last_ms: int
