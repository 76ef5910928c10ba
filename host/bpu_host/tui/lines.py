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
from collections.abc import Callable, Iterator
from dataclasses import MISSING, asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast, get_type_hints

from bpu_common.errors import CapacityError, InputError, UsageError
from bpu_common.telemetry import (
    CallSlice,
    CoreSample,
    LatencySample,
    LogLine,
    ModelSample,
    QueueSample,
    SystemSample,
    TelemetryFrame,
)

FORMAT = "openbpu-telemetry"
VERSION = 1
MAX_LINE_CHARS = 4 << 20
"""A longer line is not read and not written."""

DEFAULT_LIMIT_BYTES = 256 << 20
"""What a recording takes at most unless said otherwise (before compression)."""

SLICE_COLUMNS = tuple(field.name for field in fields(CallSlice))
"""Function calls are arrays, not objects, because a frame may hold hundreds: this is their order.
The header repeats it and the reader goes by the header."""

_T = TypeVar("_T")


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
    value = {name: getattr(frame, name) for name in _FRAME_FIELDS}
    for name in ("models", "cores", "log"):
        value[name] = [asdict(item) for item in value[name]]
    for name in ("queue", "system"):
        value[name] = asdict(value[name])
    value["slices"] = [[getattr(item, name) for name in SLICE_COLUMNS] for item in frame.slices]
    value["temperature_millicelsius"] = frame.temperature_millicelsius
    return _dump(value)


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
        number = 1
        while text := _next_line(file, path, number := number + 1):
            if not text.endswith("\n"):
                return
            try:
                yield frame_from(_object(text), columns)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise InputError(
                    f"not a telemetry frame: {error}", where=f"{path}:{number}"
                ) from None


def frame_from(value: dict[str, Any], columns: tuple[str, ...] = SLICE_COLUMNS) -> TelemetryFrame:
    """The frame that one line's object describes.

    Raises:
        ValueError, TypeError, KeyError: it does not describe one.
    """
    build: dict[str, Callable[[Any], object]] = {
        "models": lambda items: tuple(_build(ModelSample, item) for item in items),
        "cores": lambda items: tuple(_build(CoreSample, item) for item in items),
        "log": lambda items: tuple(_build(LogLine, item) for item in items),
        "queue": lambda item: _build(QueueSample, item),
        "system": lambda item: _build(SystemSample, item),
        "slices": lambda rows: tuple(
            _build(CallSlice, dict(zip(columns, row, strict=True))) for row in rows
        ),
        "temperature_millicelsius": lambda item: {
            name: _checked(int, degrees) for name, degrees in item.items()
        },
    }
    return _build(TelemetryFrame, value, build)


def _build(
    kind: type[_T], value: object, build: dict[str, Callable[[Any], object]] | None = None
) -> _T:
    """A value type from an object: known keys only, each of its declared type."""
    if not isinstance(value, dict):
        raise TypeError(f"{kind.__name__} is {type(value).__name__}, not an object")
    found: dict[str, object] = {}
    declared = _fields(kind)  # type: ignore[arg-type]  # a class is hashable
    for name, (hint, required) in declared.items():
        if name not in value:
            if required:
                raise KeyError(f"{kind.__name__} without {name}")
        elif build and name in build:
            found[name] = build[name](value[name])
        elif hint is LatencySample:
            found[name] = _build(LatencySample, value[name])
        else:
            found[name] = _checked(hint, value[name])
    return kind(**found)


def _checked(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:  # a bool is no int here
        raise TypeError(f"{value!r:.40} is not {kind.__name__}")
    return value


@cache
def _fields(kind: type[Any]) -> dict[str, tuple[type[Any], bool]]:
    """Name -> type, and whether it has no default."""
    hints = get_type_hints(kind)
    return {each.name: (hints[each.name], each.default is MISSING) for each in fields(kind)}


_FRAME_FIELDS = tuple(field.name for field in fields(TelemetryFrame))


def _header(text: str, path: Path) -> tuple[str, ...]:
    """The slice columns of a recording whose first line is `text`."""
    hint = "give a file that `bpu top --record` or `bpu top --json` made"
    try:
        head = _object(text)
        known = head.get("format") == FORMAT
        columns = tuple(_checked(str, name) for name in head.get("slice_columns", ()))
    except (ValueError, TypeError):
        known, head, columns = False, {}, ()
    if not known:
        raise InputError("not a telemetry recording", where=str(path), hint=hint)
    if head.get("version") != VERSION:
        raise InputError(
            f"a recording of version {head.get('version')!r}, this program reads {VERSION}",
            where=str(path),
            hint="update OpenBPU",
        )
    return columns


def _next_line(file: TextIO, path: Path, number: int) -> str:
    """The next line with its end, empty at the end of the file."""
    where = f"{path}:{number}"
    try:
        text = file.readline(MAX_LINE_CHARS + 1)
    except EOFError:  # a compressed file that was cut off
        return ""
    except UnicodeDecodeError:
        raise InputError("not text", where=where) from None
    except OSError as error:
        raise InputError(f"cannot read on: {error}", where=where) from None
    if len(text) > MAX_LINE_CHARS:
        raise InputError(f"a line of more than {MAX_LINE_CHARS} characters", where=where)
    return text


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


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
