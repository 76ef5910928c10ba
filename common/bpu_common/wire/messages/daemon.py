"""Values of the host daemon <-> messages."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from bpu_common.daemon import (
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    JobEvent,
    JobState,
    LinkState,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.perf import PerfProgress, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2
from bpu_common.wire.gen.openbpu.v1 import daemon_pb2 as pb
from bpu_common.wire.messages import perf, telemetry

_LINK_STATES = {
    LinkState.CONNECTING: pb.LINK_STATE_CONNECTING,
    LinkState.UP: pb.LINK_STATE_UP,
    LinkState.DOWN: pb.LINK_STATE_DOWN,
}
_LINK_STATES_BACK = {number: state for state, number in _LINK_STATES.items()}
_JOB_STATES = {
    JobState.WAITING: pb.JOB_STATE_WAITING,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.DONE: pb.JOB_STATE_DONE,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    JobState.LOST: pb.JOB_STATE_LOST,
}
_JOB_STATES_BACK = {number: state for state, number in _JOB_STATES.items()}


def frame_from_bytes(data: bytes) -> TelemetryFrame:
    """A frame as a board sent it.

    Raises:
        ValueError: the bytes are not a frame.
    """
    try:
        return telemetry.frame_from_pb(board_pb2.TelemetryFrame.FromString(data))
    except DecodeError as error:
        raise ValueError(f"not a telemetry frame: {error}") from None


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


def frame_to_bytes(frame: TelemetryFrame) -> bytes:
    return telemetry.frame_to_pb(frame).SerializeToString()


def result_to_bytes(result: PerfResult) -> bytes:
    """A result as it is kept in the job log."""
    return perf.perf_result_to_pb(result).SerializeToString()


def result_from_bytes(data: bytes) -> PerfResult:
    return perf.perf_result_from_pb(board_pb2.PerfResult.FromString(data))


def link_to_pb(link: BoardLink) -> pb.BoardLink:
    return pb.BoardLink(
        board=link.board,
        state=_LINK_STATES[link.state],
        address=link.address,
        since_wall_ns=link.since_wall_ns,
        attempts=link.attempts,
        error=link.error,
        error_code=link.error_code,
        retry_in_ns=link.retry_in_ns,
        history_frames=link.history_frames,
        history_bytes=link.history_bytes,
        history_span_ns=link.history_span_ns,
        connections=link.connections,
    )


def link_from_pb(message: pb.BoardLink) -> BoardLink:
    return BoardLink(
        board=message.board,
        state=_LINK_STATES_BACK.get(message.state, LinkState.DOWN),
        address=message.address,
        since_wall_ns=message.since_wall_ns,
        attempts=message.attempts,
        error=message.error,
        error_code=message.error_code,
        retry_in_ns=message.retry_in_ns,
        history_frames=message.history_frames,
        history_bytes=message.history_bytes,
        history_span_ns=message.history_span_ns,
        connections=message.connections,
    )


def job_to_pb(job: Job) -> pb.Job:
    message = pb.Job(
        id=job.id,
        board=job.board,
        kind=job.kind,
        model=job.model,
        priority=job.priority,
        state=_JOB_STATES[job.state],
        client=job.client,
        detail=job.detail,
        created_wall_ns=job.created_wall_ns,
        started_wall_ns=job.started_wall_ns,
        ended_wall_ns=job.ended_wall_ns,
        error=job.error,
        error_code=job.error_code,
        waits_for=job.waits_for,
        frames_done=job.frames_done,
        frames_total=job.frames_total,
    )
    if job.result is not None:
        message.result.CopyFrom(perf.perf_result_to_pb(job.result))
    return message


def job_from_pb(message: pb.Job) -> Job:
    return Job(
        id=message.id,
        board=message.board,
        kind=message.kind,
        model=message.model,
        priority=message.priority,
        state=_JOB_STATES_BACK.get(message.state, JobState.LOST),
        client=message.client,
        detail=message.detail,
        created_wall_ns=message.created_wall_ns,
        started_wall_ns=message.started_wall_ns,
        ended_wall_ns=message.ended_wall_ns,
        error=message.error,
        error_code=message.error_code,
        waits_for=tuple(message.waits_for),
        result=perf.perf_result_from_pb(message.result) if message.HasField("result") else None,
        frames_done=message.frames_done,
        frames_total=message.frames_total,
    )


def perf_job_to_pb(job: PerfJobRequest) -> pb.PerfJobRequest:
    return pb.PerfJobRequest(
        board=job.board,
        priority=job.priority,
        client=job.client,
        request=perf.perf_request_to_pb(job.request),
    )


def perf_job_from_pb(message: pb.PerfJobRequest) -> PerfJobRequest:
    return PerfJobRequest(
        board=message.board,
        request=perf.perf_request_from_pb(message.request),
        priority=message.priority,
        client=message.client,
    )


def job_event_to_pb(event: JobEvent) -> pb.PerfJobEvent:
    match event:
        case Job():
            return pb.PerfJobEvent(job=job_to_pb(event))
        case PerfProgress():
            return pb.PerfJobEvent(progress=perf.progress_to_pb(event))
        case PerfResult():
            return pb.PerfJobEvent(result=perf.perf_result_to_pb(event))


def job_event_from_pb(message: pb.PerfJobEvent) -> JobEvent:
    match message.WhichOneof("kind"):
        case "job":
            return job_from_pb(message.job)
        case "result":
            return perf.perf_result_from_pb(message.result)
        case _:
            return perf.progress_from_pb(message.progress)


def status_to_pb(status: DaemonStatus) -> pb.DaemonStatus:
    return pb.DaemonStatus(
        process_id=status.process_id,
        version=status.version,
        api_version=status.api_version,
        run_id=status.run_id,
        started_wall_ns=status.started_wall_ns,
        socket=status.socket,
        boards=[link_to_pb(link) for link in status.boards],
        jobs=[job_to_pb(job) for job in status.jobs],
        watchers=status.watchers,
        history_bytes=status.history_bytes,
        history_limit_bytes=status.history_limit_bytes,
        inventory_error=status.inventory_error,
    )


def status_from_pb(message: pb.DaemonStatus) -> DaemonStatus:
    return DaemonStatus(
        process_id=message.process_id,
        version=message.version,
        api_version=message.api_version,
        run_id=message.run_id,
        started_wall_ns=message.started_wall_ns,
        socket=message.socket,
        boards=tuple(link_from_pb(item) for item in message.boards),
        jobs=tuple(job_from_pb(item) for item in message.jobs),
        watchers=message.watchers,
        history_bytes=message.history_bytes,
        history_limit_bytes=message.history_limit_bytes,
        inventory_error=message.inventory_error,
    )


def watch_to_pb(request: WatchRequest) -> pb.WatchTelemetryRequest:
    return pb.WatchTelemetryRequest(
        boards=request.boards, history_ns=request.history_ns, follow=request.follow
    )


def watch_from_pb(message: pb.WatchTelemetryRequest) -> WatchRequest:
    return WatchRequest(tuple(message.boards), message.history_ns, message.follow)


def event_to_pb(event: BoardEvent) -> pb.BoardEvent:
    message = pb.BoardEvent(board=event.board, age_ns=event.age_ns, dropped=event.dropped)
    if event.link is not None:
        message.link.CopyFrom(link_to_pb(event.link))
    else:
        message.frame = event.frame
    return message


def event_from_pb(message: pb.BoardEvent) -> BoardEvent:
    return BoardEvent(
        board=message.board,
        age_ns=message.age_ns,
        frame=message.frame,
        link=link_from_pb(message.link) if message.HasField("link") else None,
        dropped=message.dropped,
    )
