"""Recordings that nobody recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bpu_common.telemetry import TelemetryFrame
from bpu_common.telemetry.lines import frame_line, header_line
from tests.hostile.row import Row
from tests.support.frames_tui import DEMO, MS, frames, play

REPLAY = ("bpu", "top", "--replay", "evening.jsonl", "--once")


def recording(*told: TelemetryFrame) -> str:
    """The text of a recording."""
    return "".join(f"{line}\n" for line in (header_line("board"), *map(frame_line, told)))


def good() -> tuple[TelemetryFrame, ...]:
    """Frames of a board that works."""
    return tuple(frames(play(DEMO, 450 * MS), 400 * MS))


def with_number(value: str) -> str:
    """A recording one of whose numbers is another one."""
    lines = recording(*good()).splitlines()
    frame = json.loads(lines[2])
    frame["wall_offset_ns"] = "NUMBER"
    lines[2] = json.dumps(frame).replace('"NUMBER"', value)
    return "\n".join(lines) + "\n"


def damaged_gzip() -> bytes:
    """A compressed recording with a changed byte in the middle."""
    data = bytearray(gzip.compress(recording(*good() * 20).encode()))
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(8)
    return bytes(data)


def backwards() -> str:
    """Time that runs backwards, within one run of a board."""
    told = good()
    return recording(*told, replace(told[0], time_ns=told[0].time_ns - 5 * MS))


def twins() -> str:
    """Two models of one name and one digest."""
    told = good()
    return recording(*(replace(each, models=each.models + each.models) for each in told))


def _row(name: str, content: Callable[[], str | bytes], answer: str, status: int = 2) -> Row:
    def make(folder: Path) -> None:
        made = content()
        data = made if isinstance(made, bytes) else made.encode()
        (folder / "evening.jsonl").write_bytes(data)

    return Row(f"{name}, recording", make, REPLAY, answer, status)


ROWS = (
    _row("year 58871", lambda: with_number("1" + "0" * 22), "beyond 64 bits"),
    _row("5000 digits", lambda: with_number("1" * 5000), "not a telemetry frame"),
    _row("no number", lambda: with_number("NaN"), "not a telemetry frame"),
    _row("deep", lambda: with_number("[" * 100_000), "nests too deeply"),
    _row("damaged gzip", damaged_gzip, "cannot read on|not text|not a telemetry frame|no JSON"),
    _row("time runs backwards", backwards, "core 0", 0),
    _row("two models of one name", twins, "@", 0),
)
