"""Logging and progress of `hb_mapper`, in the vendor's forms.

Console lines: `<date>,<ms> LEVEL message`. Log file lines (in the current directory):
`<date>,<ms> file: X.py func: f line No: N message`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bpu_host.cli.colours import coloured

if TYPE_CHECKING:
    from bpu_host.compiler.events import Advanced

_ROOT = "bpu_host"
_LIBRARIES = ("onnx_ir",)
"""Loggers of others: what they say, tracebacks too, goes to the log file only."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}
_MEANINGS = {logging.WARNING: "warning", logging.ERROR: "error"}
"""Level -> its colour; the others have none."""
_BAR_WIDTH = 40

logger = logging.getLogger(_ROOT)


class _FileFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s file: %(filename)s func: %(funcName)s line No: %(lineno)d %(message)s"
        )


class _FileHandler(logging.FileHandler):
    """The log file; a disk that is full or gone costs the rest of the log, not the conversion."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, mode="w", encoding="utf-8", errors="backslashreplace")
        self.setFormatter(_FileFormatter())
        self._broken = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Say it once, on the console."""
        if not self._broken and isinstance(error := sys.exc_info()[1], OSError):
            self._broken = True
            logger.warning("the log file is not complete: %s", error.strerror)
        elif not self._broken:
            super().handleError(record)

    def close(self) -> None:
        """Close; what cannot be written any more is lost."""
        with suppress(OSError):
            super().close()


class _ConsoleFormatter(logging.Formatter):
    """The console's lines; on a terminal the level of what went wrong has a colour."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._stream = stream

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        level = record.levelname
        if (meaning := _MEANINGS.get(record.levelno)) is not None:
            level = coloured(level, meaning, self._stream)
        return f"{record.asctime} {level} {record.message}"


class _ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the progress' stream; clears an open bar first."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress.stream)
        self.setFormatter(_ConsoleFormatter(progress.stream))
        self._progress = progress

    def format(self, record: logging.LogRecord) -> str:
        """The line; what the console cannot show is written as an escape."""
        coding = self.stream.encoding or "utf-8"
        return super().format(record).encode(coding, "backslashreplace").decode(coding)

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.clear()
        super().emit(record)


class Progress:
    """A bar on a terminal; elsewhere a plain line at each tenth."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._terminal = stream.isatty()
        self._open = False
        self._tenth = -1
        self._start_ns = 0

    def show(self, event: Advanced) -> None:
        """Draw the state of one stage."""
        if event.done <= 1 or self._tenth < 0:
            self._start_ns, self._tenth = time.monotonic_ns(), 0
        if self._terminal:
            filled = _BAR_WIDTH * event.done // max(1, event.total)
            bar = "#" * filled + "." * (_BAR_WIDTH - filled)
            seconds = (time.monotonic_ns() - self._start_ns) / 1e9
            text = f"{event.title} [{bar}] {event.done}/{event.total} {seconds:.0f} s"
            self.stream.write(f"\r{text}")
            self.stream.flush()
            self._open = True
        else:
            tenth = 10 * event.done // max(1, event.total)
            if tenth > self._tenth:
                self._tenth = tenth
                logger.info("%s: %d of %d", event.title, event.done, event.total)
        if event.done >= event.total:
            self.clear()
            self._tenth = -1

    def clear(self) -> None:
        """Take the bar off the screen."""
        if self._open:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._open = False


@contextmanager
def logging_to(file: Path, stream: TextIO | None = None) -> Iterator[Progress]:
    """Log to the console and to `file` while inside; ends with the handlers removed.

    Args:
        stream: the console; None: the current stdout.
    """
    progress = Progress(stream or sys.stdout)
    handlers: list[logging.Handler] = [_ConsoleHandler(progress)]
    handlers[0].setLevel(logging.INFO)
    problem = ""
    try:
        handlers.append(_FileHandler(file))
    except OSError as error:
        problem = f"no log file: {file.name} cannot be written ({error.strerror})"
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    libraries = [logging.getLogger(name) for name in _LIBRARIES]
    quiet = handlers[1] if len(handlers) > 1 else logging.NullHandler()
    for library in libraries:
        library.addHandler(quiet)
        library.propagate = False
    try:
        if problem:
            logger.warning(problem)
        else:
            logger.info("log will be stored in %s", file.absolute())
        yield progress
    finally:
        progress.clear()
        for library in libraries:
            library.removeHandler(quiet)
            library.propagate = True
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def set_file_level(level: str) -> None:
    """`log_level` of the YAML: what the log file records (the console always shows info)."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.setLevel(_LEVELS[level])
