"""Recordings of telemetry, through the reader and onto the screen."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bpu_host.tui.plain import once
from bpu_host.tui.source import RecordingSource
from bpu_host.tui.state import UiState
from tests.fuzz_targets.target import Target
from tests.hostile.changes import change_bytes, change_json
from tests.hostile.recordings import good, recording, with_number

_PACKED = b"\x1f\x8b"


@cache
def seeds() -> Sequence[bytes]:
    """A short recording, one that is compressed, and two with odd numbers."""
    texts = [recording(*good()[:3]), with_number("1" + "0" * 22), with_number("[" * 5000)]
    return [
        *(text.encode() for text in texts),
        gzip.compress(recording(*good()[:1]).encode(), mtime=0),
    ]


def change(source: random.Random, data: bytes) -> bytes:
    """Another recording, mostly of lines of JSON."""
    if data.startswith(_PACKED) or source.random() < 0.2:
        return change_bytes(source, data)
    lines = data.split(b"\n")
    at = source.randrange(len(lines))
    try:
        loaded = json.loads(lines[at])
    except (ValueError, RecursionError):
        return change_bytes(source, data)
    for _ in range(source.randint(1, 3)):
        loaded = change_json(source, loaded)
    lines[at] = json.dumps(loaded).encode()
    if source.random() < 0.2:
        lines.insert(at, lines[at])
    return b"\n".join(lines)


def run(data: bytes, folder: Path) -> None:
    """`bpu top --replay FILE --once`."""
    path = folder / "evening.jsonl"
    path.write_bytes(data)
    once(RecordingSource(path, speed=0), UiState(), 120)


TARGET = Target("recordings", seeds, run, change, most_bytes=1 << 14)
