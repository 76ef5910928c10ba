"""Messages of a board that the host keeps or passes on: telemetry frames and results of jobs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError, Message

from bpu_common.perf import NodeProfile, PerfResult, TimeStat
from bpu_common.telemetry.lines import frame_line
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages.board import TELEMETRY_FRAME
from bpu_common.wire.messages.daemon import (
    frame_from_bytes,
    result_from_bytes,
    result_to_bytes,
    without_slices,
)
from bpu_host.tui.state import UiState
from bpu_host.tui.view import view
from tests.fuzz_targets.target import Target
from tests.hostile.changes import change_bytes, change_message
from tests.hostile.recordings import good

_FRAME, _RESULT = b"f", b"r"
_STAT = {"BPU": TimeStat(1.5, 3, 1, 4)}
_MEASURED = PerfResult(
    "net", "x3m", 2, 200, 0, 10**9, 2 * 10**9, 1, 9, 5, 7, 8, (3, 4), 77,
    NodeProfile(_STAT, {"conv": TimeStat(2, 3, 1, 4)}, {}),
)  # fmt: skip


@cache
def seeds() -> Sequence[bytes]:
    """Frames of a working board, and a measurement."""
    frames = [_FRAME + TELEMETRY_FRAME.to_pb(each).SerializeToString() for each in good()[:3]]
    return [*frames, _RESULT + result_to_bytes(_MEASURED)]


def change(source: random.Random, data: bytes) -> bytes:
    """Another message of the same kind."""
    head, rest = data[:1], data[1:]
    message: Message = pb.PerfResult() if head == _RESULT else pb.TelemetryFrame()
    try:
        message.ParseFromString(rest)
    except DecodeError:
        return change_bytes(source, data)
    if source.random() < 0.1:
        return head + change_bytes(source, rest)
    change_message(source, message, source.randint(1, 3))
    return head + message.SerializeToString()


def run(data: bytes, folder: Path) -> None:
    """As the job log reads a result; as a recorder and the screen take a frame."""
    if data[:1] == _RESULT:
        result_from_bytes(data[1:])
        return
    frame = frame_from_bytes(data[1:])
    frame_from_bytes(without_slices(data[1:]))
    frame_line(frame)
    view([good()[0], frame], UiState())


TARGET = Target("messages", seeds, run, change)
