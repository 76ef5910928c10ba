from bpu_common.wire.gen.openbpu.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_KIND_UNKNOWN: _ClassVar[DeviceKind]
    DEVICE_KIND_SIMULATED: _ClassVar[DeviceKind]
    DEVICE_KIND_CHIP: _ClassVar[DeviceKind]

class Clock(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOCK_UNKNOWN: _ClassVar[Clock]
    CLOCK_VIRTUAL: _ClassVar[Clock]
    CLOCK_PACED: _ClassVar[Clock]
    CLOCK_REAL: _ClassVar[Clock]
DEVICE_KIND_UNKNOWN: DeviceKind
DEVICE_KIND_SIMULATED: DeviceKind
DEVICE_KIND_CHIP: DeviceKind
CLOCK_UNKNOWN: Clock
CLOCK_VIRTUAL: Clock
CLOCK_PACED: Clock
CLOCK_REAL: Clock

class DeployHeader(_message.Message):
    __slots__ = ("digest", "size_bytes", "offset_bytes", "replace")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    offset_bytes: int
    replace: bool
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., offset_bytes: _Optional[int] = ..., replace: _Optional[bool] = ...) -> None: ...

class DeployRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: DeployHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[DeployHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class DeployResponse(_message.Message):
    __slots__ = ("digest", "offset_bytes", "complete", "models", "replaced")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset_bytes: int
    complete: bool
    models: _containers.RepeatedScalarFieldContainer[str]
    replaced: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digest: _Optional[str] = ..., offset_bytes: _Optional[int] = ..., complete: _Optional[bool] = ..., models: _Optional[_Iterable[str]] = ..., replaced: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelEntry(_message.Message):
    __slots__ = ("name", "digest", "size_bytes", "loaded")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size_bytes: int
    loaded: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., loaded: _Optional[bool] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelEntry]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelEntry, _Mapping]]] = ...) -> None: ...

class RemoveModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RemoveModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelInfoRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class PartInfo(_message.Message):
    __slots__ = ("name", "on", "inputs", "outputs", "weights_bytes", "macs", "function_calls", "predicted_cycles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    MACS_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_CALLS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CYCLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    on: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    weights_bytes: int
    macs: int
    function_calls: int
    predicted_cycles: int
    def __init__(self, name: _Optional[str] = ..., on: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ..., weights_bytes: _Optional[int] = ..., macs: _Optional[int] = ..., function_calls: _Optional[int] = ..., predicted_cycles: _Optional[int] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("name", "march", "machine", "inputs", "outputs", "parts", "nodes", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MARCH_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    march: str
    machine: str
    inputs: _containers.RepeatedCompositeFieldContainer[_model_pb2.ModelInput]
    outputs: _containers.RepeatedCompositeFieldContainer[_model_pb2.TensorSpec]
    parts: _containers.RepeatedCompositeFieldContainer[PartInfo]
    nodes: _containers.RepeatedCompositeFieldContainer[_model_pb2.NodeInfo]
    parameters: _containers.RepeatedCompositeFieldContainer[_model_pb2.Parameter]
    def __init__(self, name: _Optional[str] = ..., march: _Optional[str] = ..., machine: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_model_pb2.ModelInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_model_pb2.TensorSpec, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[PartInfo, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[_model_pb2.NodeInfo, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[_model_pb2.Parameter, _Mapping]]] = ...) -> None: ...

class Roi(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    right: int
    bottom: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., right: _Optional[int] = ..., bottom: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "dtype", "shape", "data", "roi")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ROI_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: _model_pb2.DType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    roi: Roi
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[_model_pb2.DType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., roi: _Optional[_Union[Roi, _Mapping]] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("model", "inputs", "core_id", "priority", "custom_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CORE_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    core_id: int
    priority: int
    custom_id: int
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., core_id: _Optional[int] = ..., priority: _Optional[int] = ..., custom_id: _Optional[int] = ...) -> None: ...

class InferResponse(_message.Message):
    __slots__ = ("model", "task", "outputs", "submitted_ns", "started_ns", "done_ns", "late", "runtime_wall_ns")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    DONE_NS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    model: str
    task: int
    outputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    submitted_ns: int
    started_ns: int
    done_ns: int
    late: bool
    runtime_wall_ns: int
    def __init__(self, model: _Optional[str] = ..., task: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., submitted_ns: _Optional[int] = ..., started_ns: _Optional[int] = ..., done_ns: _Optional[int] = ..., late: _Optional[bool] = ..., runtime_wall_ns: _Optional[int] = ...) -> None: ...

class PerfRequest(_message.Message):
    __slots__ = ("model", "frame_count", "duration_ns", "thread_num", "core_id", "priority", "profile", "exact", "inputs")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    THREAD_NUM_FIELD_NUMBER: _ClassVar[int]
    CORE_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    frame_count: int
    duration_ns: int
    thread_num: int
    core_id: int
    priority: int
    profile: bool
    exact: bool
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, model: _Optional[str] = ..., frame_count: _Optional[int] = ..., duration_ns: _Optional[int] = ..., thread_num: _Optional[int] = ..., core_id: _Optional[int] = ..., priority: _Optional[int] = ..., profile: _Optional[bool] = ..., exact: _Optional[bool] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class PerfProgress(_message.Message):
    __slots__ = ("frames_done", "frames_total", "elapsed_ns", "average_ns", "max_ns", "min_ns")
    FRAMES_DONE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_NS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_NS_FIELD_NUMBER: _ClassVar[int]
    frames_done: int
    frames_total: int
    elapsed_ns: int
    average_ns: float
    max_ns: int
    min_ns: int
    def __init__(self, frames_done: _Optional[int] = ..., frames_total: _Optional[int] = ..., elapsed_ns: _Optional[int] = ..., average_ns: _Optional[float] = ..., max_ns: _Optional[int] = ..., min_ns: _Optional[int] = ...) -> None: ...

class TimeStat(_message.Message):
    __slots__ = ("name", "average_ns", "max_ns", "min_ns", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_NS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    average_ns: float
    max_ns: int
    min_ns: int
    count: int
    def __init__(self, name: _Optional[str] = ..., average_ns: _Optional[float] = ..., max_ns: _Optional[int] = ..., min_ns: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class NodeProfile(_message.Message):
    __slots__ = ("processor_latency", "model_latency", "task_latency")
    PROCESSOR_LATENCY_FIELD_NUMBER: _ClassVar[int]
    MODEL_LATENCY_FIELD_NUMBER: _ClassVar[int]
    TASK_LATENCY_FIELD_NUMBER: _ClassVar[int]
    processor_latency: _containers.RepeatedCompositeFieldContainer[TimeStat]
    model_latency: _containers.RepeatedCompositeFieldContainer[TimeStat]
    task_latency: _containers.RepeatedCompositeFieldContainer[TimeStat]
    def __init__(self, processor_latency: _Optional[_Iterable[_Union[TimeStat, _Mapping]]] = ..., model_latency: _Optional[_Iterable[_Union[TimeStat, _Mapping]]] = ..., task_latency: _Optional[_Iterable[_Union[TimeStat, _Mapping]]] = ...) -> None: ...

class PerfResult(_message.Message):
    __slots__ = ("model", "machine", "thread_num", "frame_count", "core_id", "run_time_ns", "total_latency_ns", "min_ns", "max_ns", "p50_ns", "p90_ns", "p99_ns", "core_busy_ns", "wall_ns", "profile", "device", "clock", "late_ns")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    THREAD_NUM_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    CORE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LATENCY_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    P50_NS_FIELD_NUMBER: _ClassVar[int]
    P90_NS_FIELD_NUMBER: _ClassVar[int]
    P99_NS_FIELD_NUMBER: _ClassVar[int]
    CORE_BUSY_NS_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    LATE_NS_FIELD_NUMBER: _ClassVar[int]
    model: str
    machine: str
    thread_num: int
    frame_count: int
    core_id: int
    run_time_ns: int
    total_latency_ns: int
    min_ns: int
    max_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    core_busy_ns: _containers.RepeatedScalarFieldContainer[int]
    wall_ns: int
    profile: NodeProfile
    device: DeviceKind
    clock: Clock
    late_ns: int
    def __init__(self, model: _Optional[str] = ..., machine: _Optional[str] = ..., thread_num: _Optional[int] = ..., frame_count: _Optional[int] = ..., core_id: _Optional[int] = ..., run_time_ns: _Optional[int] = ..., total_latency_ns: _Optional[int] = ..., min_ns: _Optional[int] = ..., max_ns: _Optional[int] = ..., p50_ns: _Optional[int] = ..., p90_ns: _Optional[int] = ..., p99_ns: _Optional[int] = ..., core_busy_ns: _Optional[_Iterable[int]] = ..., wall_ns: _Optional[int] = ..., profile: _Optional[_Union[NodeProfile, _Mapping]] = ..., device: _Optional[_Union[DeviceKind, str]] = ..., clock: _Optional[_Union[Clock, str]] = ..., late_ns: _Optional[int] = ...) -> None: ...

class PerfEvent(_message.Message):
    __slots__ = ("perf_progress", "perf_result")
    PERF_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PERF_RESULT_FIELD_NUMBER: _ClassVar[int]
    perf_progress: PerfProgress
    perf_result: PerfResult
    def __init__(self, perf_progress: _Optional[_Union[PerfProgress, _Mapping]] = ..., perf_result: _Optional[_Union[PerfResult, _Mapping]] = ...) -> None: ...

class StartLoadRequest(_message.Message):
    __slots__ = ("model", "name", "threads", "rate_hz", "core_id", "priority", "seed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    CORE_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    model: str
    name: str
    threads: int
    rate_hz: float
    core_id: int
    priority: int
    seed: int
    def __init__(self, model: _Optional[str] = ..., name: _Optional[str] = ..., threads: _Optional[int] = ..., rate_hz: _Optional[float] = ..., core_id: _Optional[int] = ..., priority: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class StopLoadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListLoadsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoadState(_message.Message):
    __slots__ = ("name", "request", "started_ns", "submitted", "done", "failed", "refused")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    request: StartLoadRequest
    started_ns: int
    submitted: int
    done: int
    failed: int
    refused: int
    def __init__(self, name: _Optional[str] = ..., request: _Optional[_Union[StartLoadRequest, _Mapping]] = ..., started_ns: _Optional[int] = ..., submitted: _Optional[int] = ..., done: _Optional[int] = ..., failed: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...

class ListLoadsResponse(_message.Message):
    __slots__ = ("loads",)
    LOADS_FIELD_NUMBER: _ClassVar[int]
    loads: _containers.RepeatedCompositeFieldContainer[LoadState]
    def __init__(self, loads: _Optional[_Iterable[_Union[LoadState, _Mapping]]] = ...) -> None: ...

class TelemetryRequest(_message.Message):
    __slots__ = ("period_ms", "frame_count")
    PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    period_ms: int
    frame_count: int
    def __init__(self, period_ms: _Optional[int] = ..., frame_count: _Optional[int] = ...) -> None: ...

class LatencySample(_message.Message):
    __slots__ = ("count", "p50_ns", "p90_ns", "p99_ns", "max_ns")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    P50_NS_FIELD_NUMBER: _ClassVar[int]
    P90_NS_FIELD_NUMBER: _ClassVar[int]
    P99_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    count: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    def __init__(self, count: _Optional[int] = ..., p50_ns: _Optional[int] = ..., p90_ns: _Optional[int] = ..., p99_ns: _Optional[int] = ..., max_ns: _Optional[int] = ...) -> None: ...

class ModelSample(_message.Message):
    __slots__ = ("name", "digest", "submitted", "done", "failed", "cancelled", "expired", "late", "refused", "alive", "bpu_busy_ns", "latency", "running", "waiting", "preempted", "preempting", "priority", "pending", "bpu", "cpu", "host")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    BPU_BUSY_NS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    PREEMPTED_FIELD_NUMBER: _ClassVar[int]
    PREEMPTING_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    BPU_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    submitted: int
    done: int
    failed: int
    cancelled: int
    expired: int
    late: int
    refused: int
    alive: int
    bpu_busy_ns: int
    latency: LatencySample
    running: int
    waiting: int
    preempted: int
    preempting: int
    priority: int
    pending: LatencySample
    bpu: LatencySample
    cpu: LatencySample
    host: LatencySample
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., submitted: _Optional[int] = ..., done: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., expired: _Optional[int] = ..., late: _Optional[int] = ..., refused: _Optional[int] = ..., alive: _Optional[int] = ..., bpu_busy_ns: _Optional[int] = ..., latency: _Optional[_Union[LatencySample, _Mapping]] = ..., running: _Optional[int] = ..., waiting: _Optional[int] = ..., preempted: _Optional[int] = ..., preempting: _Optional[int] = ..., priority: _Optional[int] = ..., pending: _Optional[_Union[LatencySample, _Mapping]] = ..., bpu: _Optional[_Union[LatencySample, _Mapping]] = ..., cpu: _Optional[_Union[LatencySample, _Mapping]] = ..., host: _Optional[_Union[LatencySample, _Mapping]] = ...) -> None: ...

class CallSlice(_message.Message):
    __slots__ = ("core", "task", "model", "call", "name", "start_ns", "end_ns", "preempted_by", "running")
    CORE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    PREEMPTED_BY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    core: int
    task: int
    model: str
    call: int
    name: str
    start_ns: int
    end_ns: int
    preempted_by: int
    running: bool
    def __init__(self, core: _Optional[int] = ..., task: _Optional[int] = ..., model: _Optional[str] = ..., call: _Optional[int] = ..., name: _Optional[str] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., preempted_by: _Optional[int] = ..., running: _Optional[bool] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("time_ns", "level", "text")
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    time_ns: int
    level: str
    text: str
    def __init__(self, time_ns: _Optional[int] = ..., level: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Temperature(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class CoreSample(_message.Message):
    __slots__ = ("index", "clock_hz", "utilisation_permille", "busy_ns", "calls_done", "preemptions", "task", "model", "call", "ddr_bytes", "ddr_wait_ns")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CLOCK_HZ_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    BUSY_NS_FIELD_NUMBER: _ClassVar[int]
    CALLS_DONE_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIONS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    DDR_BYTES_FIELD_NUMBER: _ClassVar[int]
    DDR_WAIT_NS_FIELD_NUMBER: _ClassVar[int]
    index: int
    clock_hz: int
    utilisation_permille: int
    busy_ns: int
    calls_done: int
    preemptions: int
    task: int
    model: str
    call: int
    ddr_bytes: int
    ddr_wait_ns: int
    def __init__(self, index: _Optional[int] = ..., clock_hz: _Optional[int] = ..., utilisation_permille: _Optional[int] = ..., busy_ns: _Optional[int] = ..., calls_done: _Optional[int] = ..., preemptions: _Optional[int] = ..., task: _Optional[int] = ..., model: _Optional[str] = ..., call: _Optional[int] = ..., ddr_bytes: _Optional[int] = ..., ddr_wait_ns: _Optional[int] = ...) -> None: ...

class QueueSample(_message.Message):
    __slots__ = ("running", "waiting", "running_limit", "alive_limit", "untaken")
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    ALIVE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    UNTAKEN_FIELD_NUMBER: _ClassVar[int]
    running: int
    waiting: int
    running_limit: int
    alive_limit: int
    untaken: int
    def __init__(self, running: _Optional[int] = ..., waiting: _Optional[int] = ..., running_limit: _Optional[int] = ..., alive_limit: _Optional[int] = ..., untaken: _Optional[int] = ...) -> None: ...

class SystemSample(_message.Message):
    __slots__ = ("cpu_permille", "cpu_count", "memory_used_bytes", "memory_total_bytes", "process_bytes")
    CPU_PERMILLE_FIELD_NUMBER: _ClassVar[int]
    CPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESS_BYTES_FIELD_NUMBER: _ClassVar[int]
    cpu_permille: int
    cpu_count: int
    memory_used_bytes: int
    memory_total_bytes: int
    process_bytes: int
    def __init__(self, cpu_permille: _Optional[int] = ..., cpu_count: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., process_bytes: _Optional[int] = ...) -> None: ...

class TelemetryFrame(_message.Message):
    __slots__ = ("sequence", "boot_id", "time_ns", "wall_offset_ns", "machine", "models", "queue", "cores", "system", "slices", "slices_dropped", "log", "temperature_millicelsius", "device", "clock", "late_ns")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    WALL_OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    SLICES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_MILLICELSIUS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    LATE_NS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    boot_id: str
    time_ns: int
    wall_offset_ns: int
    machine: str
    models: _containers.RepeatedCompositeFieldContainer[ModelSample]
    queue: QueueSample
    cores: _containers.RepeatedCompositeFieldContainer[CoreSample]
    system: SystemSample
    slices: _containers.RepeatedCompositeFieldContainer[CallSlice]
    slices_dropped: int
    log: _containers.RepeatedCompositeFieldContainer[LogLine]
    temperature_millicelsius: _containers.RepeatedCompositeFieldContainer[Temperature]
    device: DeviceKind
    clock: Clock
    late_ns: int
    def __init__(self, sequence: _Optional[int] = ..., boot_id: _Optional[str] = ..., time_ns: _Optional[int] = ..., wall_offset_ns: _Optional[int] = ..., machine: _Optional[str] = ..., models: _Optional[_Iterable[_Union[ModelSample, _Mapping]]] = ..., queue: _Optional[_Union[QueueSample, _Mapping]] = ..., cores: _Optional[_Iterable[_Union[CoreSample, _Mapping]]] = ..., system: _Optional[_Union[SystemSample, _Mapping]] = ..., slices: _Optional[_Iterable[_Union[CallSlice, _Mapping]]] = ..., slices_dropped: _Optional[int] = ..., log: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., temperature_millicelsius: _Optional[_Iterable[_Union[Temperature, _Mapping]]] = ..., device: _Optional[_Union[DeviceKind, str]] = ..., clock: _Optional[_Union[Clock, str]] = ..., late_ns: _Optional[int] = ...) -> None: ...

class GetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("version", "api_version", "boot_id", "machine", "core_count", "clock_hz", "step_times", "preemption_visible", "max_message_bytes", "max_model_bytes", "device", "clock", "engine", "late_ns")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    CORE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLOCK_HZ_FIELD_NUMBER: _ClassVar[int]
    STEP_TIMES_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_VISIBLE_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MODEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    LATE_NS_FIELD_NUMBER: _ClassVar[int]
    version: str
    api_version: int
    boot_id: str
    machine: str
    core_count: int
    clock_hz: int
    step_times: bool
    preemption_visible: bool
    max_message_bytes: int
    max_model_bytes: int
    device: DeviceKind
    clock: Clock
    engine: EngineInfo
    late_ns: int
    def __init__(self, version: _Optional[str] = ..., api_version: _Optional[int] = ..., boot_id: _Optional[str] = ..., machine: _Optional[str] = ..., core_count: _Optional[int] = ..., clock_hz: _Optional[int] = ..., step_times: _Optional[bool] = ..., preemption_visible: _Optional[bool] = ..., max_message_bytes: _Optional[int] = ..., max_model_bytes: _Optional[int] = ..., device: _Optional[_Union[DeviceKind, str]] = ..., clock: _Optional[_Union[Clock, str]] = ..., engine: _Optional[_Union[EngineInfo, _Mapping]] = ..., late_ns: _Optional[int] = ...) -> None: ...

class EngineInfo(_message.Message):
    __slots__ = ("name", "reason", "not_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    not_run: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., not_run: _Optional[_Iterable[str]] = ...) -> None: ...
