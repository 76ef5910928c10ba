"""Telemetry frames <-> messages."""

from __future__ import annotations

from bpu_common.telemetry import (
    CoreSample,
    LatencySample,
    ModelSample,
    QueueSample,
    SystemSample,
    TelemetryFrame,
)
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb


def frame_to_pb(frame: TelemetryFrame) -> pb.TelemetryFrame:
    return pb.TelemetryFrame(
        sequence=frame.sequence,
        boot_id=frame.boot_id,
        time_ns=frame.time_ns,
        wall_offset_ns=frame.wall_offset_ns,
        machine=frame.machine,
        models=[_model_to_pb(sample) for sample in frame.models],
        queue=_queue_to_pb(frame.queue),
        cores=[_core_to_pb(sample) for sample in frame.cores],
        system=_system_to_pb(frame.system),
    )


def frame_from_pb(message: pb.TelemetryFrame) -> TelemetryFrame:
    return TelemetryFrame(
        sequence=message.sequence,
        boot_id=message.boot_id,
        time_ns=message.time_ns,
        wall_offset_ns=message.wall_offset_ns,
        machine=message.machine,
        models=tuple(_model_from_pb(item) for item in message.models),
        queue=_queue_from_pb(message.queue),
        cores=tuple(_core_from_pb(item) for item in message.cores),
        system=_system_from_pb(message.system),
    )


def _model_to_pb(sample: ModelSample) -> pb.ModelSample:
    latency = sample.latency
    return pb.ModelSample(
        name=sample.name,
        digest=sample.digest,
        submitted=sample.submitted,
        done=sample.done,
        failed=sample.failed,
        cancelled=sample.cancelled,
        expired=sample.expired,
        late=sample.late,
        refused=sample.refused,
        alive=sample.alive,
        bpu_busy_ns=sample.bpu_busy_ns,
        latency=pb.LatencySample(
            count=latency.count,
            p50_ns=latency.p50_ns,
            p90_ns=latency.p90_ns,
            p99_ns=latency.p99_ns,
            max_ns=latency.max_ns,
        ),
    )


def _model_from_pb(message: pb.ModelSample) -> ModelSample:
    latency = message.latency
    return ModelSample(
        name=message.name,
        digest=message.digest,
        submitted=message.submitted,
        done=message.done,
        failed=message.failed,
        cancelled=message.cancelled,
        expired=message.expired,
        late=message.late,
        refused=message.refused,
        alive=message.alive,
        bpu_busy_ns=message.bpu_busy_ns,
        latency=LatencySample(
            latency.count, latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.max_ns
        ),
    )


def _core_to_pb(sample: CoreSample) -> pb.CoreSample:
    return pb.CoreSample(
        index=sample.index,
        clock_hz=sample.clock_hz,
        utilisation_permille=sample.utilisation_permille,
        busy_ns=sample.busy_ns,
        calls_done=sample.calls_done,
        preemptions=sample.preemptions,
        task=sample.task,
        model=sample.model,
        call=sample.call,
    )


def _core_from_pb(message: pb.CoreSample) -> CoreSample:
    return CoreSample(
        index=message.index,
        clock_hz=message.clock_hz,
        utilisation_permille=message.utilisation_permille,
        busy_ns=message.busy_ns,
        calls_done=message.calls_done,
        preemptions=message.preemptions,
        task=message.task,
        model=message.model,
        call=message.call,
    )


def _queue_to_pb(sample: QueueSample) -> pb.QueueSample:
    return pb.QueueSample(
        running=sample.running,
        waiting=sample.waiting,
        running_limit=sample.running_limit,
        alive_limit=sample.alive_limit,
    )


def _queue_from_pb(message: pb.QueueSample) -> QueueSample:
    return QueueSample(message.running, message.waiting, message.running_limit, message.alive_limit)


def _system_to_pb(sample: SystemSample) -> pb.SystemSample:
    return pb.SystemSample(
        cpu_permille=sample.cpu_permille,
        cpu_count=sample.cpu_count,
        memory_used_bytes=sample.memory_used_bytes,
        memory_total_bytes=sample.memory_total_bytes,
        process_bytes=sample.process_bytes,
    )


def _system_from_pb(message: pb.SystemSample) -> SystemSample:
    return SystemSample(
        cpu_permille=message.cpu_permille,
        cpu_count=message.cpu_count,
        memory_used_bytes=message.memory_used_bytes,
        memory_total_bytes=message.memory_total_bytes,
        process_bytes=message.process_bytes,
    )
