"""The client of one board's agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

import grpc
import numpy as np

from bpu_common.board import BoardInfo, DeployResult, InferRequest, ModelEntry, ModelInfo
from bpu_common.errors import BoardUnreachable, DeadlineExceeded, DeviceFault, InputError
from bpu_common.frame import FrameInput
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.task import CORE_ANY, PRIORITY_LOWEST
from bpu_common.telemetry import TelemetryFrame
from bpu_common.tensor import AnyArray
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import BoardClient, open_channel
from bpu_common.wire.rpc.memory import keep_large_blocks
from bpu_host.remote.renewed import Renewed
from bpu_host.remote.route import Route
from bpu_host.remote.upload import Progress, upload

_T = TypeVar("_T")

_Input: TypeAlias = AnyArray | FrameInput
Arrays: TypeAlias = _Input | Sequence[_Input] | Mapping[str, _Input]
"""By input name, or in the order of the inputs, or the array of the only input."""

CONNECT_S = 10.0
"""For an agent to answer at first."""

_CALL_TIMEOUT_S = 30.0
"""For calls that only look something up."""

_RECOVER_S = 10.0
"""For a connection that was lost to come back."""

_RESTART_S = 3.0
"""For an agent that is dialled directly to come back; a supervisor takes a second or two."""


class Board:
    """An agent at an address; use it in a `with` block or call `close`.

    Every method may be called from any thread and raises a BpuError: the one the board raised, or
    BoardUnreachable when nothing answers. When the connection is lost, calls that are safe to
    repeat are repeated once: everything but `remove`, `perf` and `load`.
    """

    def __init__(self, address: str, *, route: Route | None = None, name: str = "") -> None:
        """Prepare a connection; nothing is sent before the first call. See `connect`.

        Args:
            route: a tunnel that ends at `address`; closed with the board.
            name: what errors call the board; its address by default.
        """
        self.name = name or address
        self._route = route
        self._answered = False
        self._recovering = Lock()
        self._channel: Renewed[grpc.Channel] = Renewed(lambda channel: channel.close())
        self._dial(address)
        self._inputs: dict[str, tuple[str, ...]] = {}

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        route: Route | None = None,
        name: str = "",
        timeout_s: float = CONNECT_S,
    ) -> Board:
        """Connect to an agent and see that it answers. `bpu_host.client.connect` takes names too.

        Args:
            address: `unix:PATH` or `HOST:PORT`.
            route: a tunnel that ends at `address`; closed with the board, or if this fails.
            name: what errors call the board; its address by default.

        Large message buffers are kept by this process from then on (see
        `bpu_common.wire.rpc.memory`), unless MALLOC_* variables say otherwise.

        Raises:
            UsageError: not an address.
            BoardUnreachable: nothing answers there.
        """
        keep_large_blocks()
        board = cls(address, route=route, name=name)
        try:
            board.info(timeout_s=timeout_s)
        except DeadlineExceeded as error:
            board.close()
            raise BoardUnreachable(
                f"nothing answers within {timeout_s:g} s",
                where=board.name,
                hint="check the address, and that the agent runs",
            ) from error
        except BaseException:
            board.close()
            raise
        return board

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self._channel.close()
        if self._route is not None:
            self._route.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def info(self, *, timeout_s: float = _CALL_TIMEOUT_S) -> BoardInfo:
        """What this board is: chip, cores, versions, limits."""
        return self._repeat(lambda: self._client.capabilities(timeout_s))

    def models(self) -> tuple[ModelEntry, ...]:
        """Every model on the board."""
        return self._repeat(lambda: self._client.list_models(_CALL_TIMEOUT_S))

    def model(self, name: str) -> ModelInfo:
        """Inputs, outputs, segments and nodes of a model, by name or digest."""
        return self._repeat(lambda: self._client.model_info(name, _CALL_TIMEOUT_S))

    def remove(self, name: str) -> None:
        """Delete the file that holds a model."""
        self._client.remove_model(name, _CALL_TIMEOUT_S)

    def deploy(
        self, path: str | Path, progress: Progress | None = None, *, replace: bool = True
    ) -> DeployResult:
        """Upload a model file; a file that is there already is not sent again.

        A cut connection is made again a few times and the upload goes on where it stopped; if that
        fails too, deploying again later does the same.

        Args:
            progress: called with (bytes on the board, bytes in all).
            replace: remove older files all of whose models have a name in this one, so that a name
                means the newest model.

        Raises:
            ModelFormatError: not a model; nothing is sent.
            DeployError, CapacityError, BoardUnreachable: it is not on the board.
        """
        self._inputs.clear()
        return self._repeat(lambda: upload(self._client, Path(path), progress, replace=replace))

    def infer(
        self,
        model: str,
        arrays: Arrays,
        *,
        core_id: int = CORE_ANY,
        priority: int = PRIORITY_LOWEST,
        custom_id: int = 0,
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run one frame. The outputs are read-only: copy one to change it in place.

        Args:
            arrays: by input name, or in the order of the inputs, or the array of the only input;
                each as `ModelInput.caller_shape` says (images uint8, featuremaps float32). A
                `FrameInput` in the place of an array adds a region of interest.
            core_id: 0 any core, 1 core 0, 2 core 1.
            priority: 0..255; 255 preempts.
            timeout_s: a frame not started by then is dropped.

        Raises:
            InputError: an array does not fit.
            ModelNotFound, CapacityError, DeadlineExceeded, DeviceFault: from the board.
        """
        result, _ = self.infer_timed(
            model,
            arrays,
            core_id=core_id,
            priority=priority,
            custom_id=custom_id,
            timeout_s=timeout_s,
        )
        return result

    def infer_timed(
        self,
        model: str,
        arrays: Arrays,
        *,
        core_id: int = CORE_ANY,
        priority: int = PRIORITY_LOWEST,
        custom_id: int = 0,
        timeout_s: float | None = None,
    ) -> tuple[InferResult, int]:
        """As `infer`, with the wall time that the board's runtime took (ns)."""
        request = InferRequest(model, self._named(model, arrays), core_id, priority, custom_id)
        end_s = None if timeout_s is None else monotonic() + timeout_s

        def call() -> tuple[InferResult, int]:
            left_s = None if end_s is None else end_s - monotonic()
            if left_s is not None and left_s <= 0:
                raise DeadlineExceeded("the board did not answer in time", where=self.name)
            return self._client.infer(request, left_s)

        return self._repeat(call, end_s)

    def perf(
        self,
        request: PerfRequest,
        progress: Callable[[PerfProgress], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> PerfResult:
        """Measure a model in a closed loop on the board.

        Args:
            progress: called once per 200 frames.
        """
        try:
            for event in self._client.perf(request, timeout_s):
                if isinstance(event, PerfResult):
                    return event
                if progress is not None:
                    progress(event)
        except BoardUnreachable as error:
            raise BoardUnreachable(
                f"the connection was lost during the measurement: {error.message}",
                where=self.name,
                hint="the board has ended it; measure again",
            ) from None
        raise DeviceFault("the board ended the measurement without a result", where=self.name)

    def telemetry(self, period_ms: int = 100, frame_count: int = 0) -> Iterator[TelemetryFrame]:
        """The board's visible state, a frame each period, until the iteration is left."""
        return self._client.telemetry(period_ms, frame_count)

    def start_load(
        self,
        model: str,
        *,
        name: str = "",
        threads: int = 1,
        rate_hz: float = 0.0,
        core_id: int = CORE_ANY,
        priority: int = PRIORITY_LOWEST,
        seed: int = 0,
    ) -> LoadState:
        """Let the board make frames of a model by itself until `stop_load`, so that one can watch.

        Args:
            name: of the load; empty: the board chooses (see the answer).
            threads: frames in flight of a closed loop.
            rate_hz: frames per second of an open loop; 0: closed loop.
            seed: of an open loop's arrival times.

        Raises:
            UsageError: out of range, the name is taken, or the board's clock is virtual.
            ModelNotFound, CapacityError: from the board.
        """
        request = LoadRequest(model, name, threads, rate_hz, core_id, priority, seed)
        return self._client.start_load(request, _CALL_TIMEOUT_S)

    def stop_load(self, name: str) -> LoadState:
        """End a load; returns its last state.

        Raises:
            UsageError: no load of this name runs.
        """
        return self._client.stop_load(name, _CALL_TIMEOUT_S)

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that run on the board, oldest first, whoever started them."""
        return self._repeat(lambda: self._client.loads(_CALL_TIMEOUT_S))

    def _repeat(self, call: Callable[[], _T], end_s: float | None = None) -> _T:
        """Call, and once more if the connection was lost and comes back, by `end_s` if given."""
        try:
            answer = call()
        except BoardUnreachable as error:
            if not self._answered:
                raise
            self._recover(error, end_s)
            answer = call()
        self._answered = True
        return answer

    def _dial(self, address: str) -> None:
        channel = self._channel.keep(open_channel(parse_address(address)))
        self.address = address
        self._calls = BoardClient(channel, self.name)

    @property
    def _client(self) -> BoardClient:
        """The calls of the newest connection.

        Raises:
            BoardUnreachable: it was closed.
        """
        if self._channel.newest is None:
            raise BoardUnreachable(
                "the connection was closed", where=self.name, hint="connect again"
            )
        return self._calls

    def _recover(self, error: BoardUnreachable, end_s: float | None) -> None:
        """Have a connection again, or raise why there is none."""
        if self._route is None:
            self._await_ready(error, _RESTART_S, end_s)
            return
        with self._recovering:
            self._route.recover()
            if self._route.address != self.address:
                self._dial(self._route.address)
            self._await_ready(error, _RECOVER_S, end_s)

    def _await_ready(self, error: BoardUnreachable, wait_s: float, end_s: float | None) -> None:
        if end_s is not None:
            wait_s = min(wait_s, max(0.0, end_s - monotonic()))
        channel = self._channel.newest
        if channel is None:  # closed meanwhile
            raise error from None
        try:
            grpc.channel_ready_future(channel).result(wait_s)
        except grpc.FutureTimeoutError:
            raise error from None

    def _named(self, model: str, arrays: Arrays) -> dict[str, FrameInput]:
        """The inputs by name, their arrays C-contiguous."""
        where = f"model {model}"
        if isinstance(arrays, Mapping):
            return {name: _contiguous(each, where) for name, each in arrays.items()}
        given = list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]
        for each in given:
            _contiguous(each, where)
        names = self._inputs.get(model)
        if names is None:
            names = tuple(value.tensor.name for value in self.model(model).inputs)
            self._inputs[model] = names
        if len(given) != len(names):
            raise InputError(
                f"{len(given)} arrays for {len(names)} inputs",
                where=where,
                hint=f"the inputs are {', '.join(names)}, in this order",
            )
        return {name: _contiguous(each, where) for name, each in zip(names, given, strict=True)}


def _contiguous(given: object, where: str) -> FrameInput:
    if isinstance(given, FrameInput):
        return FrameInput(np.asarray(given.array, order="C"), given.roi)
    if isinstance(given, np.ndarray):
        return FrameInput(np.asarray(given, order="C"))
    raise InputError(
        f"an input is {'None' if given is None else f'a {type(given).__name__}'}, not an array",
        where=where,
        hint="give NumPy arrays; `openbpu.Board` takes pictures and paths too",
    )
