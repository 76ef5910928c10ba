"""Values of the host daemon <-> messages."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from bpu_common.daemon import (
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    JobEvent,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.errors import InputError
from bpu_common.perf import PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2
from bpu_common.wire.gen.openbpu.v1 import daemon_pb2 as pb
from bpu_common.wire.messages.board import PERF_RESULT, TELEMETRY_FRAME
from bpu_common.wire.messages.derive import Converter
from bpu_common.wire.messages.rules import WIRE

LINK = WIRE.converter(BoardLink, pb.BoardLink, InputError)
STATUS = WIRE.converter(DaemonStatus, pb.DaemonStatus, InputError)
JOB = WIRE.converter(Job, pb.Job, InputError)
PERF_JOB_REQUEST = WIRE.converter(PerfJobRequest, pb.PerfJobRequest, InputError)
JOB_EVENT: Converter[JobEvent, pb.PerfJobEvent] = WIRE.converter(
    JobEvent, pb.PerfJobEvent, InputError
)
WATCH_REQUEST = WIRE.converter(WatchRequest, pb.WatchTelemetryRequest, InputError)
BOARD_EVENT = WIRE.converter(BoardEvent, pb.BoardEvent, InputError)


def frame_from_bytes(data: bytes) -> TelemetryFrame:
    """A frame as a board sent it.

    Raises:
        InputError: the bytes are not a frame.
    """
    try:
        return TELEMETRY_FRAME.from_pb(board_pb2.TelemetryFrame.FromString(data))
    except DecodeError as error:
        raise InputError(f"not a telemetry frame: {error}") from None


def without_slices(data: bytes) -> bytes:
    """A frame without its function calls, which are most of it; they count as dropped.

    What is not a frame stays as it is.
    """
    try:
        frame = board_pb2.TelemetryFrame.FromString(data)
    except DecodeError:
        return data
    frame.slices_dropped += len(frame.slices)
    frame.ClearField("slices")
    return frame.SerializeToString()


def result_to_bytes(result: PerfResult) -> bytes:
    """A result as it is kept in the job log."""
    return PERF_RESULT.to_pb(result).SerializeToString()


def result_from_bytes(data: bytes) -> PerfResult:
    """A result out of the job log.

    Raises:
        InputError: the bytes are not a result.
    """
    try:
        return PERF_RESULT.from_pb(board_pb2.PerfResult.FromString(data))
    except DecodeError as error:
        raise InputError(f"not a result: {error}") from None
