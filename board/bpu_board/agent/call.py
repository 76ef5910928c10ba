"""One inference call on a thread of its own, which the event loop may cancel."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from concurrent.futures import Executor

from bpu_board.runtime import Frame, Runtime
from bpu_common.board import InferRequest
from bpu_common.perf import InferResult
from bpu_common.task import TaskControl
from bpu_common.tensor import InputSource, ModelInput
from bpu_common.wire.rpc.clients import caller
from bpu_common.wire.rpc.intake import SMALL_REQUEST_BYTES
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES

_CLOCKS_AGREE_S = 0.02

_ELEMENT_BYTES = 10
"""An element in the longest form that a message may hold: a negative number written out."""


def needed_request_bytes(models: tuple[tuple[ModelInput, ...], ...]) -> int:
    """The largest request that one of the models takes, given the inputs of each."""
    needed = 0
    for inputs in models:
        if any(each.source is InputSource.RESIZER for each in inputs):
            return MAX_MESSAGE_BYTES  # a picture of any size
        elements = sum(math.prod(each.tensor.shape) for each in inputs)
        needed = max(needed, elements * _ELEMENT_BYTES)
    return min(MAX_MESSAGE_BYTES, needed + SMALL_REQUEST_BYTES)


class InferCall:
    """One call of a client (the `caller`), and the frame that it has become.

    Args:
        left_s: time until the deadline of its call; it is the frame's deadline, in device time.
        start_within_s: a stricter deadline of the frame alone: past it a late result is returned.
    """

    def __init__(
        self,
        runtime: Runtime,
        request: InferRequest,
        left_s: float | None,
        start_within_s: float | None = None,
    ) -> None:
        now_s = time.monotonic()
        self._runtime = runtime
        self._client = caller()
        self._request = request
        self._ends_s = None if left_s is None else now_s + left_s
        limits = [limit for limit in (left_s, start_within_s) if limit is not None]
        self._deadline_s = now_s + min(limits) if limits else None
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._cancelled = False

    async def run(self, threads: Executor, opening: Executor) -> tuple[InferResult, int]:
        """The result, and the wall time the runtime took (ns); cancelled with its frame.

        Args:
            threads: for frames; a model that must be opened first does not occupy one.
            opening: for that.
        """
        loop, model = asyncio.get_running_loop(), self._request.model
        if not self._runtime.is_open(model):
            await loop.run_in_executor(opening, self._runtime.make_ready, model)
        try:
            return await loop.run_in_executor(threads, self._run)
        except asyncio.CancelledError:  # the caller is gone, or its deadline has passed
            self._cancel()
            raise

    def _run(self) -> tuple[InferResult, int]:
        request = self._request
        start_ns = time.perf_counter_ns()
        deadline_ns = None
        if self._deadline_s is not None:
            deadline_ns = self._runtime.device.now_ns() + int(_left(self._deadline_s) * 1e9)
        control = TaskControl(request.core_id, request.priority, request.custom_id, deadline_ns)
        frame = self._runtime.submit(request.model, request.inputs, control, self._client)
        with self._lock:
            self._frame = frame
            cancelled = self._cancelled
        if cancelled:
            frame.cancel(self._missed())
        result = frame.result(None if self._ends_s is None else _left(self._ends_s))
        return result, time.perf_counter_ns() - start_ns

    def _cancel(self) -> None:
        """Take the frame back: the running function call completes, the rest is dropped."""
        with self._lock:
            self._cancelled = True
            frame = self._frame
        if frame is not None:
            frame.cancel(self._missed())

    def _missed(self) -> bool:
        """The call's deadline has passed, as far as two clocks can agree on it."""
        return self._ends_s is not None and time.monotonic() > self._ends_s - _CLOCKS_AGREE_S


def _left(ends_s: float) -> float:
    return max(0.0, ends_s - time.monotonic())
