from bpu_common.wire.gen.openbpu.v1 import board_pb2 as _board_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LinkState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINK_STATE_CONNECTING: _ClassVar[LinkState]
    LINK_STATE_UP: _ClassVar[LinkState]
    LINK_STATE_DOWN: _ClassVar[LinkState]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_WAITING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_DONE: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_LOST: _ClassVar[JobState]
LINK_STATE_CONNECTING: LinkState
LINK_STATE_UP: LinkState
LINK_STATE_DOWN: LinkState
JOB_STATE_WAITING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_DONE: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_LOST: JobState

class GetDaemonStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BoardLink(_message.Message):
    __slots__ = ("board", "state", "address", "since_wall_ns", "attempts", "error", "error_code", "retry_in_ns", "history_frames", "history_bytes", "history_span_ns", "connections")
    BOARD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SINCE_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    RETRY_IN_NS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FRAMES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_SPAN_NS_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    board: str
    state: LinkState
    address: str
    since_wall_ns: int
    attempts: int
    error: str
    error_code: str
    retry_in_ns: int
    history_frames: int
    history_bytes: int
    history_span_ns: int
    connections: int
    def __init__(self, board: _Optional[str] = ..., state: _Optional[_Union[LinkState, str]] = ..., address: _Optional[str] = ..., since_wall_ns: _Optional[int] = ..., attempts: _Optional[int] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ..., retry_in_ns: _Optional[int] = ..., history_frames: _Optional[int] = ..., history_bytes: _Optional[int] = ..., history_span_ns: _Optional[int] = ..., connections: _Optional[int] = ...) -> None: ...

class DaemonStatus(_message.Message):
    __slots__ = ("process_id", "version", "api_version", "run_id", "started_wall_ns", "socket", "boards", "jobs", "watchers", "history_bytes", "history_limit_bytes", "inventory_error")
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    SOCKET_FIELD_NUMBER: _ClassVar[int]
    BOARDS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_ERROR_FIELD_NUMBER: _ClassVar[int]
    process_id: int
    version: str
    api_version: int
    run_id: str
    started_wall_ns: int
    socket: str
    boards: _containers.RepeatedCompositeFieldContainer[BoardLink]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    watchers: int
    history_bytes: int
    history_limit_bytes: int
    inventory_error: str
    def __init__(self, process_id: _Optional[int] = ..., version: _Optional[str] = ..., api_version: _Optional[int] = ..., run_id: _Optional[str] = ..., started_wall_ns: _Optional[int] = ..., socket: _Optional[str] = ..., boards: _Optional[_Iterable[_Union[BoardLink, _Mapping]]] = ..., jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., watchers: _Optional[int] = ..., history_bytes: _Optional[int] = ..., history_limit_bytes: _Optional[int] = ..., inventory_error: _Optional[str] = ...) -> None: ...

class ResolveBoardRequest(_message.Message):
    __slots__ = ("board", "wait_ms")
    BOARD_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    board: str
    wait_ms: int
    def __init__(self, board: _Optional[str] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class ResolveBoardResponse(_message.Message):
    __slots__ = ("known", "link")
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    known: bool
    link: BoardLink
    def __init__(self, known: _Optional[bool] = ..., link: _Optional[_Union[BoardLink, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "board", "kind", "model", "priority", "state", "client", "detail", "created_wall_ns", "started_wall_ns", "ended_wall_ns", "error", "error_code", "waits_for", "result", "frames_done", "frames_total")
    ID_FIELD_NUMBER: _ClassVar[int]
    BOARD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CREATED_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_WALL_NS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_DONE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    id: int
    board: str
    kind: str
    model: str
    priority: int
    state: JobState
    client: str
    detail: str
    created_wall_ns: int
    started_wall_ns: int
    ended_wall_ns: int
    error: str
    error_code: str
    waits_for: _containers.RepeatedScalarFieldContainer[int]
    result: _board_pb2.PerfResult
    frames_done: int
    frames_total: int
    def __init__(self, id: _Optional[int] = ..., board: _Optional[str] = ..., kind: _Optional[str] = ..., model: _Optional[str] = ..., priority: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., client: _Optional[str] = ..., detail: _Optional[str] = ..., created_wall_ns: _Optional[int] = ..., started_wall_ns: _Optional[int] = ..., ended_wall_ns: _Optional[int] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ..., waits_for: _Optional[_Iterable[int]] = ..., result: _Optional[_Union[_board_pb2.PerfResult, _Mapping]] = ..., frames_done: _Optional[int] = ..., frames_total: _Optional[int] = ...) -> None: ...

class PerfJobRequest(_message.Message):
    __slots__ = ("board", "priority", "client", "request")
    BOARD_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    board: str
    priority: int
    client: str
    request: _board_pb2.PerfRequest
    def __init__(self, board: _Optional[str] = ..., priority: _Optional[int] = ..., client: _Optional[str] = ..., request: _Optional[_Union[_board_pb2.PerfRequest, _Mapping]] = ...) -> None: ...

class PerfJobEvent(_message.Message):
    __slots__ = ("job", "perf_progress", "perf_result")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PERF_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PERF_RESULT_FIELD_NUMBER: _ClassVar[int]
    job: Job
    perf_progress: _board_pb2.PerfProgress
    perf_result: _board_pb2.PerfResult
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., perf_progress: _Optional[_Union[_board_pb2.PerfProgress, _Mapping]] = ..., perf_result: _Optional[_Union[_board_pb2.PerfResult, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("board", "limit", "active_only")
    BOARD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    board: str
    limit: int
    active_only: bool
    def __init__(self, board: _Optional[str] = ..., limit: _Optional[int] = ..., active_only: _Optional[bool] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class WatchTelemetryRequest(_message.Message):
    __slots__ = ("boards", "history_ns", "follow")
    BOARDS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_NS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    boards: _containers.RepeatedScalarFieldContainer[str]
    history_ns: int
    follow: bool
    def __init__(self, boards: _Optional[_Iterable[str]] = ..., history_ns: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class BoardEvent(_message.Message):
    __slots__ = ("board", "age_ns", "frame", "link", "dropped")
    BOARD_FIELD_NUMBER: _ClassVar[int]
    AGE_NS_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    board: str
    age_ns: int
    frame: bytes
    link: BoardLink
    dropped: int
    def __init__(self, board: _Optional[str] = ..., age_ns: _Optional[int] = ..., frame: _Optional[bytes] = ..., link: _Optional[_Union[BoardLink, _Mapping]] = ..., dropped: _Optional[int] = ...) -> None: ...

class HoldBoardRequest(_message.Message):
    __slots__ = ("board",)
    BOARD_FIELD_NUMBER: _ClassVar[int]
    board: str
    def __init__(self, board: _Optional[str] = ...) -> None: ...

class HoldBoardEvent(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopDaemonRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopDaemonResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
