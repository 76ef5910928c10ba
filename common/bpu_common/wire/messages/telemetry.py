"""Telemetry frames <-> messages."""

from __future__ import annotations

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
        slices=[_slice_to_pb(item) for item in frame.slices],
        slices_dropped=frame.slices_dropped,
        log=[
            pb.LogLine(time_ns=line.time_ns, level=line.level, text=line.text) for line in frame.log
        ],
        temperatures=[
            pb.Temperature(sensor=sensor, millicelsius=value)
            for sensor, value in frame.temperature_millicelsius
        ],
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
        slices=tuple(_slice_from_pb(item) for item in message.slices),
        slices_dropped=message.slices_dropped,
        log=tuple(LogLine(item.time_ns, item.level, item.text) for item in message.log),
        temperature_millicelsius=tuple(
            (item.sensor, item.millicelsius) for item in message.temperatures
        ),
    )


def _model_to_pb(sample: ModelSample) -> pb.ModelSample:
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
        latency=_latency_to_pb(sample.latency),
        running=sample.running,
        waiting=sample.waiting,
        preempted=sample.preempted,
        preempting=sample.preempting,
        priority=sample.priority,
        pending=_latency_to_pb(sample.pending),
        bpu=_latency_to_pb(sample.bpu),
        cpu=_latency_to_pb(sample.cpu),
        host=_latency_to_pb(sample.host),
    )


def _model_from_pb(message: pb.ModelSample) -> ModelSample:
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
        latency=_latency_from_pb(message.latency),
        running=message.running,
        waiting=message.waiting,
        preempted=message.preempted,
        preempting=message.preempting,
        priority=message.priority,
        pending=_latency_from_pb(message.pending),
        bpu=_latency_from_pb(message.bpu),
        cpu=_latency_from_pb(message.cpu),
        host=_latency_from_pb(message.host),
    )


def _latency_to_pb(sample: LatencySample) -> pb.LatencySample:
    return pb.LatencySample(
        count=sample.count,
        p50_ns=sample.p50_ns,
        p90_ns=sample.p90_ns,
        p99_ns=sample.p99_ns,
        max_ns=sample.max_ns,
    )


def _latency_from_pb(message: pb.LatencySample) -> LatencySample:
    return LatencySample(
        message.count, message.p50_ns, message.p90_ns, message.p99_ns, message.max_ns
    )


def _slice_to_pb(item: CallSlice) -> pb.CallSlice:
    return pb.CallSlice(
        core=item.core,
        task=item.task,
        model=item.model,
        call=item.call,
        name=item.name,
        start_ns=item.start_ns,
        end_ns=item.end_ns,
        preempted_by=item.preempted_by,
        running=item.running,
    )


def _slice_from_pb(message: pb.CallSlice) -> CallSlice:
    return CallSlice(
        message.core,
        message.task,
        message.model,
        message.call,
        message.name,
        message.start_ns,
        message.end_ns,
        message.preempted_by,
        message.running,
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
        untaken=sample.untaken,
    )


def _queue_from_pb(message: pb.QueueSample) -> QueueSample:
    return QueueSample(
        message.running,
        message.waiting,
        message.running_limit,
        message.alive_limit,
        message.untaken,
    )


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
