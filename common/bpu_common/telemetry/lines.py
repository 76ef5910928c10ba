"""Telemetry as lines of JSON: what `--json` prints, `--record` writes and `--replay` reads.

The format is described in docs/telemetry-lines.md. The first line says what the file is; each
further line is one frame, complete in itself. Readers ignore keys they do not know and take the
default of keys that are missing, so additions keep the version.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TextIO, cast

from bpu_common.errors import CapacityError, InputError, UsageError
from bpu_common.json_form import json_reader, json_writer, parse_json
from bpu_common.telemetry.frame import CallSlice, TelemetryFrame

FORMAT = "openbpu-telemetry"
VERSION = 1
MAX_LINE_CHARS = 4 << 20
"""A longer line is not read and not written."""

DEFAULT_LIMIT_BYTES = 256 << 20
"""What a recording takes at most unless said otherwise (before compression)."""

SLICE_COLUMNS = tuple(field.name for field in fields(CallSlice))
"""Function calls are arrays, not objects, because a frame may hold hundreds: this is their order.
The header repeats it and the reader goes by the header."""

_write_frame = json_writer(TelemetryFrame, {CallSlice: SLICE_COLUMNS})


def header_line(source: str) -> str:
    """The first line, without its line end."""
    return _dump(
        {
            "format": FORMAT,
            "version": VERSION,
            "source": source,
            "slice_columns": SLICE_COLUMNS,
        }
    )


def frame_line(frame: TelemetryFrame) -> str:
    """One frame as a line, without its line end."""
    return _dump(_write_frame(frame))


class Recorder:
    """Writes frames to a file until the limit is reached; lines are flushed one by one, so that a
    process that is killed loses one line at most.

    A name that ends in `.gz` makes a compressed file.
    """

    def __init__(self, path: Path, source: str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        """Open the file; an older one of that name is replaced.

        Raises:
            UsageError: it cannot be written.
        """
        self.path = path
        self._left_bytes = limit_bytes
        self._file: TextIO | None = _open_new(path)
        self._write(header_line(source))

    @property
    def full(self) -> bool:
        """The limit was reached; nothing more is written."""
        return self._file is None

    def add(self, frame: TelemetryFrame) -> bool:
        """Append a frame; False if it no longer fits (the file is closed then).

        Raises:
            CapacityError: the disk is full.
        """
        return self._write(frame_line(frame))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, line: str) -> bool:
        if self._file is None:
            return False
        size = len(line.encode()) + 1
        if size > self._left_bytes or len(line) > MAX_LINE_CHARS:
            self.close()
            return False
        self._left_bytes -= size
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self._file = None
            raise CapacityError(
                f"the recording ends here: {error.strerror}", where=str(self.path)
            ) from None
        return True


def read_frames(path: Path) -> Iterator[TelemetryFrame]:
    """The frames of a recording, one at a time (a file of any length takes little memory).

    A last line that was cut off (the recorder was killed) is left out.

    Raises:
        InputError: not a recording, of another version, or broken; `where` is the file and line.
    """
    with _open_old(path) as file:
        columns = _header(_next_line(file, path, 1), path)
        read_frame = json_reader(TelemetryFrame, {CallSlice: columns})
        number = 1
        while text := _next_line(file, path, number := number + 1):
            if not text.endswith("\n"):
                return
            yield _frame_of(text, read_frame, path, number)


def _frame_of(
    text: str, read_frame: Callable[[object], TelemetryFrame], path: Path, number: int
) -> TelemetryFrame:
    try:
        return read_frame(parse_json(text))
    except InputError as error:
        raise InputError(f"not a telemetry frame: {error}", where=f"{path}:{number}") from None


def recorded_span(path: Path) -> tuple[TelemetryFrame, TelemetryFrame] | None:
    """The first and the last whole frame of a recording; None if it has no frame.

    Raises:
        InputError: as `read_frames`, of these two frames.
    """
    first = next(read_frames(path), None)
    if first is None:
        return None
    with _open_old(path) as file:
        columns = _header(_next_line(file, path, 1), path)
        number, found = 1, ""
        while (text := _next_line(file, path, number + 1)).endswith("\n"):
            number, found = number + 1, text
        return first, _frame_of(
            found, json_reader(TelemetryFrame, {CallSlice: columns}), path, number
        )


def _header(text: str, path: Path) -> tuple[str, ...]:
    """The slice columns of a recording whose first line is `text`."""
    hint = "give a file that `bpu top --record` or `bpu top --json` made"
    try:
        head = parse_json(text)
    except InputError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InputError("not a telemetry recording", where=str(path), hint=hint)
    if head.get("version") != VERSION:
        raise InputError(
            f"a recording of version {head.get('version')!r}, this program reads {VERSION}",
            where=str(path),
            hint="update OpenBPU",
        )
    columns = head.get("slice_columns")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise InputError("the header has no columns of slices", where=str(path), hint=hint)
    return tuple(columns)


def _next_line(file: TextIO, path: Path, number: int) -> str:
    """The next line with its end, empty at the end of the file."""
    where = f"{path}:{number}"
    try:
        text = file.readline(MAX_LINE_CHARS + 1)
    except EOFError:  # a compressed file that was cut off
        return ""
    except UnicodeDecodeError:
        raise InputError("not text", where=where) from None
    except (OSError, zlib.error) as error:
        raise InputError(f"cannot read on: {error}", where=where) from None
    if len(text) > MAX_LINE_CHARS:
        raise InputError(f"a line of more than {MAX_LINE_CHARS} characters", where=where)
    return text


def _open_new(path: Path) -> TextIO:
    """A new file for its owner only: model names and log lines are nobody else's business."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write the file: {error.strerror}", where=str(path)) from None
    raw = os.fdopen(handle, "wb")
    if path.suffix == ".gz":
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
        packed.myfileobj = raw  # type: ignore[assignment]  # closed with it
        return io.TextIOWrapper(packed, encoding="utf-8", newline="\n")
    return io.TextIOWrapper(raw, encoding="utf-8", newline="\n")


def _open_old(path: Path) -> TextIO:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if packed:
            return cast("TextIO", gzip.open(path, "rt", encoding="utf-8"))
        return path.open(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(path)) from None


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
