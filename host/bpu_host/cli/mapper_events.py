"""What a running conversion tells, as log lines and progress of `hb_mapper`."""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from types import TracebackType
from typing import Self

from bpu_host.cli.mapper_log import Progress, logger
from bpu_host.compiler.events import Advanced, Event, Note, StageDone, StageStarted

HEARTBEAT_S = 20.0
_PASSING_FILES = (__file__, contextlib.__file__)
_PASSING_FUNCTIONS = ("tell", "note", "stage")
"""Who only passes events on: this file, and the methods of a conversion that do nothing else."""


class EventLog:
    """Turns the compiler's events into log lines and progress.

    Used as a context: a stage that stays silent for long says that it is still at work.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._last_s = time.monotonic()
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        self._end.set()
        self._watch.join()

    def __call__(self, event: Event) -> None:
        self._last_s = time.monotonic()
        match event:
            case StageStarted():
                self._stage = event.title
                _log(f"Start to {event.title}.")
            case StageDone():
                self._stage = ""
                _log(f"End to {event.title} ({event.duration_ns / 1e9:.1f} s).")
            case Advanced():
                self._progress.show(event)
            case Note():
                _log(event.sentence)

    def _run(self) -> None:
        while not self._end.wait(1.0):
            if self._stage and time.monotonic() - self._last_s > HEARTBEAT_S:
                self._last_s = time.monotonic()
                logger.info("still at work: %s", self._stage)


def _log(sentence: str) -> None:
    """Log what an event says in the name of the function that told it."""
    depth, frame = 1, inspect.currentframe()
    while frame and (
        frame.f_code.co_filename in _PASSING_FILES or frame.f_code.co_name in _PASSING_FUNCTIONS
    ):
        depth, frame = depth + 1, frame.f_back
    logger.info("%s", sentence, stacklevel=depth)
