"""The board's service over a runtime. Blocking work runs on threads, never in the event loop.

Each kind of work has threads of its own, so that one kind can only make its own kind wait: frames,
opening what they need (which takes seconds for a large model), measurements, telemetry, short
questions, and what clients load.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from bpu_board.agent.call import InferCall
from bpu_board.agent.inference import RuntimeInference
from bpu_board.agent.upload import Upload, receive
from bpu_board.device import engine_of, late_ns_of
from bpu_board.runtime import Runtime
from bpu_board.runtime.queue import ALIVE_TOTAL
from bpu_board.runtime.store import MAX_MODEL_BYTES
from bpu_common import __version__
from bpu_common.board import (
    API_VERSION,
    BoardInfo,
    InferRequest,
    ModelEntry,
    ModelInfo,
    UploadHeader,
    UploadState,
)
from bpu_common.errors import CapacityError
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TELEMETRY_PERIOD_NS, TelemetryFrame
from bpu_common.wire.rpc.clients import caller
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES
from bpu_common.wire.rpc.server import BoardServicer

MAX_MEASUREMENTS = 4
"""Perf calls at once; one more is refused rather than queued."""

_LEAST_PERIOD_MS = 10
_CONTROL_THREADS = 4
_LOADING_THREADS = 4
_HEALTH_PERIOD_S = 0.5

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)


class RuntimeServicer(BoardServicer):
    """Serves one runtime until `stop`.

    Attributes:
        inference: the same board for clients of the Open Inference Protocol.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # One more than the queue takes: the queue refuses, callers never wait for a thread.
        self._frames = ThreadPoolExecutor(ALIVE_TOTAL + 1, "infer")
        self._opening = ThreadPoolExecutor(_LOADING_THREADS, "opening")
        self._measurements = ThreadPoolExecutor(MAX_MEASUREMENTS, "perf")
        self._control = ThreadPoolExecutor(_CONTROL_THREADS, "control")
        self._loading = ThreadPoolExecutor(_LOADING_THREADS, "loading")
        self._telemetry = ThreadPoolExecutor(1, "telemetry")
        self._running_perf: set[threading.Event] = set()
        self._stopping = asyncio.Event()
        self.inference = RuntimeInference(
            runtime, self._frames, self._opening, self._control, self._loading
        )

    def stop(self) -> None:
        """End streams and measurements; calls in flight finish."""
        self._stopping.set()
        for measurement in self._running_perf:
            measurement.set()

    def needed_request_bytes(self) -> int:
        return self.inference.needed_request_bytes()

    async def deploy(self, header: UploadHeader, chunks: AsyncIterator[bytes]) -> UploadState:
        upload = Upload(self._runtime, header)
        await receive(upload, chunks, self._load)
        return await self._load(upload.state)

    async def list_models(self) -> tuple[ModelEntry, ...]:
        return await self._run(self._runtime.list)

    async def remove_model(self, model: str) -> None:
        await self._load(lambda: self._runtime.remove(model))

    async def model_info(self, model: str) -> ModelInfo:
        return await self._run(lambda: self._runtime.info(model))

    async def infer(self, request: InferRequest, left_s: float | None) -> tuple[InferResult, int]:
        call = InferCall(self._runtime, request, left_s)
        return await call.run(self._frames, self._opening)

    async def perf(self, request: PerfRequest) -> AsyncIterator[PerfProgress | PerfResult]:
        if len(self._running_perf) == MAX_MEASUREMENTS:
            raise CapacityError(
                f"{MAX_MEASUREMENTS} measurements are running", hint="wait until one has ended"
            )
        loop = asyncio.get_running_loop()
        reports: asyncio.Queue[PerfProgress | None] = asyncio.Queue()
        stop = threading.Event()

        def report(progress: PerfProgress) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, progress)

        self._running_perf.add(stop)
        run = loop.run_in_executor(
            self._measurements,
            partial(self._runtime.perf, request, report, stop, client=caller()),
        )
        run.add_done_callback(lambda _: reports.put_nowait(None))
        try:
            while (progress := await reports.get()) is not None:
                yield progress
            yield await run
        finally:
            stop.set()
            self._running_perf.discard(stop)
            if not run.done():
                run.add_done_callback(lambda run: _log_left(request, run))

    async def telemetry(self, period_ms: int, frame_count: int) -> AsyncIterator[TelemetryFrame]:
        period_s = max(period_ms or TELEMETRY_PERIOD_NS // 1_000_000, _LEAST_PERIOD_MS) / 1000
        watch = await self._look(self._runtime.watch)
        due_s = time.monotonic()
        sent = 0
        while not self._stopping.is_set():
            yield await self._look(lambda: self._runtime.telemetry(watch))
            sent += 1
            if sent == frame_count:
                return
            due_s = max(due_s + period_s, time.monotonic())
            # The class of the time-out is another one before Python 3.11.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), due_s - time.monotonic())

    async def start_load(self, request: LoadRequest) -> LoadState:
        return await self._load(partial(self._runtime.start_load, request, caller()))

    async def stop_load(self, name: str) -> LoadState:
        return await self._run(lambda: self._runtime.stop_load(name))

    async def loads(self) -> tuple[LoadState, ...]:
        return self._runtime.loads()

    async def capabilities(self) -> BoardInfo:
        device = self._runtime.device.capabilities
        return BoardInfo(
            version=__version__,
            api_version=API_VERSION,
            boot_id=self._runtime.boot_id,
            machine=device.machine,
            core_count=device.core_count,
            clock_hz=device.clock_hz,
            step_times=device.step_times,
            preemption_visible=device.preemption_visible,
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_model_bytes=MAX_MODEL_BYTES,
            device=device.device,
            clock=device.clock,
            late_ns=late_ns_of(self._runtime.device),
            engine=await self._run(lambda: engine_of(self._runtime.device)),
        )

    async def device_failure(self) -> str:
        """Return, once the device works no more, why; empty if `stop` came first."""
        while not self._stopping.is_set():
            if reason := await self._look(self._runtime.failure):
                return reason
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _HEALTH_PERIOD_S)
        return ""

    async def _run(self, function: Callable[[], _T]) -> _T:
        """Something short."""
        return await asyncio.get_running_loop().run_in_executor(self._control, function)

    async def _load(self, function: Callable[[], _T]) -> _T:
        """Something that may read, check or open a whole model."""
        return await asyncio.get_running_loop().run_in_executor(self._loading, function)

    async def _look(self, function: Callable[[], _T]) -> _T:
        """Something about the visible state, which waits for no model and no client."""
        return await asyncio.get_running_loop().run_in_executor(self._telemetry, function)


def _log_left(request: PerfRequest, run: asyncio.Future[PerfResult]) -> None:
    """Say how a measurement ended whose caller went away."""
    error = run.exception()
    _logger.info("perf of %s, its caller is gone: %s", request.model, error or "it was done")
