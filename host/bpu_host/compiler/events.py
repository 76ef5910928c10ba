"""What a running conversion tells its caller: frozen events through one callback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins; `title` completes the sentence "Start to ..."."""

    title: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """The stage ended well."""

    title: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """`done` of `total` units of work of the running stage."""

    title: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the log. What is worth a warning is no event but a `Finding`."""

    sentence: str


Event: TypeAlias = StageStarted | StageDone | Advanced | Note
OnEvent: TypeAlias = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A callback for callers that want no events."""
    del event
