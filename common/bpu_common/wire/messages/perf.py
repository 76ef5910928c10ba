"""Inferences and measured runs <-> messages."""

from __future__ import annotations

from bpu_common.board import InferRequest
from bpu_common.perf import (
    InferResult,
    NodeProfile,
    PerfProgress,
    PerfRequest,
    PerfResult,
    TimeStat,
)
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages.arrays import (
    add_arrays,
    add_inputs,
    arrays_from_pb,
    inputs_from_pb,
)


def infer_request_to_pb(request: InferRequest) -> pb.InferRequest:
    message = pb.InferRequest(
        model=request.model,
        core_id=request.core_id,
        priority=request.priority,
        custom_id=request.custom_id,
    )
    add_inputs(message.inputs, request.inputs)
    return message


def infer_request_from_pb(message: pb.InferRequest) -> InferRequest:
    return InferRequest(
        model=message.model,
        inputs=inputs_from_pb(message.inputs),
        core_id=message.core_id,
        priority=message.priority,
        custom_id=message.custom_id,
    )


def infer_result_to_pb(result: InferResult, runtime_wall_ns: int = 0) -> pb.InferResponse:
    message = pb.InferResponse(
        model=result.model,
        task=result.task,
        submitted_ns=result.submitted_ns,
        started_ns=result.started_ns,
        done_ns=result.done_ns,
        late=result.late,
        runtime_wall_ns=runtime_wall_ns,
    )
    add_arrays(message.outputs, result.outputs)
    return message


def infer_result_from_pb(message: pb.InferResponse) -> InferResult:
    return InferResult(
        model=message.model,
        task=message.task,
        outputs=arrays_from_pb(message.outputs),
        submitted_ns=message.submitted_ns,
        started_ns=message.started_ns,
        done_ns=message.done_ns,
        late=message.late,
    )


def perf_request_to_pb(request: PerfRequest) -> pb.PerfRequest:
    message = pb.PerfRequest(
        model=request.model,
        frame_count=request.frame_count,
        duration_ns=request.duration_ns,
        thread_num=request.thread_num,
        core_id=request.core_id,
        priority=request.priority,
        profile=request.profile,
        exact=request.exact,
    )
    add_inputs(message.inputs, request.inputs)
    return message


def perf_request_from_pb(message: pb.PerfRequest) -> PerfRequest:
    """The request.

    Raises:
        UsageError, InputError: a value out of range.
    """
    return PerfRequest(
        model=message.model,
        frame_count=message.frame_count,
        duration_ns=message.duration_ns,
        thread_num=message.thread_num,
        core_id=message.core_id,
        priority=message.priority,
        profile=message.profile,
        exact=message.exact,
        inputs=inputs_from_pb(message.inputs),
    )


def progress_to_pb(progress: PerfProgress) -> pb.PerfProgress:
    return pb.PerfProgress(
        frames_done=progress.frames_done,
        frames_total=progress.frames_total,
        elapsed_ns=progress.elapsed_ns,
        average_ns=progress.average_ns,
        max_ns=progress.max_ns,
        min_ns=progress.min_ns,
    )


def progress_from_pb(message: pb.PerfProgress) -> PerfProgress:
    return PerfProgress(
        frames_done=message.frames_done,
        frames_total=message.frames_total,
        elapsed_ns=message.elapsed_ns,
        average_ns=message.average_ns,
        max_ns=message.max_ns,
        min_ns=message.min_ns,
    )


def perf_result_to_pb(result: PerfResult) -> pb.PerfResult:
    return pb.PerfResult(
        model=result.model,
        machine=result.machine,
        thread_num=result.thread_num,
        frame_count=result.frame_count,
        core_id=result.core_id,
        run_time_ns=result.run_time_ns,
        total_latency_ns=result.total_latency_ns,
        min_ns=result.min_ns,
        max_ns=result.max_ns,
        p50_ns=result.p50_ns,
        p90_ns=result.p90_ns,
        p99_ns=result.p99_ns,
        core_busy_ns=result.core_busy_ns,
        wall_ns=result.wall_ns,
        profile=None if result.profile is None else _profile_to_pb(result.profile),
    )


def perf_result_from_pb(message: pb.PerfResult) -> PerfResult:
    return PerfResult(
        model=message.model,
        machine=message.machine,
        thread_num=message.thread_num,
        frame_count=message.frame_count,
        core_id=message.core_id,
        run_time_ns=message.run_time_ns,
        total_latency_ns=message.total_latency_ns,
        min_ns=message.min_ns,
        max_ns=message.max_ns,
        p50_ns=message.p50_ns,
        p90_ns=message.p90_ns,
        p99_ns=message.p99_ns,
        core_busy_ns=tuple(message.core_busy_ns),
        wall_ns=message.wall_ns,
        profile=_profile_from_pb(message.profile) if message.HasField("profile") else None,
    )


def _profile_to_pb(profile: NodeProfile) -> pb.NodeProfile:
    return pb.NodeProfile(
        processor_latency=_stats_to_pb(profile.processor_latency),
        model_latency=_stats_to_pb(profile.model_latency),
        task_latency=_stats_to_pb(profile.task_latency),
    )


def _profile_from_pb(message: pb.NodeProfile) -> NodeProfile:
    return NodeProfile(
        processor_latency={item.name: _stat(item) for item in message.processor_latency},
        model_latency={item.name: _stat(item) for item in message.model_latency},
        task_latency={item.name: _stat(item) for item in message.task_latency},
    )


def _stats_to_pb(stats: dict[str, TimeStat]) -> list[pb.TimeStat]:
    return [
        pb.TimeStat(
            name=name,
            average_ns=stat.average_ns,
            max_ns=stat.max_ns,
            min_ns=stat.min_ns,
            count=stat.count,
        )
        for name, stat in stats.items()
    ]


def _stat(message: pb.TimeStat) -> TimeStat:
    return TimeStat(message.average_ns, message.max_ns, message.min_ns, message.count)
