"""The Open Inference Protocol over a runtime: standard clients work against a board unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from bpu_board.agent.call import InferCall, needed_request_bytes
from bpu_board.runtime import Runtime
from bpu_common import __version__
from bpu_common.board import ModelInfo
from bpu_common.errors import BpuError, ModelNotFound, UsageError
from bpu_common.inference import VERSION, ModelState, ModelTotals, NamedInference
from bpu_common.perf import InferResult
from bpu_common.tensor import ModelInput
from bpu_common.wire.rpc.inference import InferenceServicer

_T = TypeVar("_T")


class RuntimeInference(InferenceServicer):
    """Serves one runtime.

    Models of the store are ready from the start and loaded on first use. One that a client unloads
    is not ready, and not run, until a client loads it; the board's own service does not mind.

    Args:
        frames: threads for inferences.
        opening: for models that an inference needs.
        control: for all that is short.
        loading: for what a client loads.
    """

    def __init__(
        self,
        runtime: Runtime,
        frames: Executor,
        opening: Executor,
        control: Executor,
        loading: Executor,
    ) -> None:
        self._runtime = runtime
        self._frames = frames
        self._opening = opening
        self._control = control
        self._loading = loading
        self._unloaded: set[str] = set()
        self._inputs: tuple[tuple[ModelInput, ...], ...] | None = None
        self._needed_bytes = 0

    def needed_request_bytes(self) -> int:
        inputs = self._runtime.inputs()
        if inputs is not self._inputs:  # models have come or gone
            self._inputs, self._needed_bytes = inputs, needed_request_bytes(inputs)
        return self._needed_bytes

    def about(self) -> tuple[str, int]:
        return __version__, self._runtime.device.capabilities.core_count

    async def ready(self, model: str, version: str) -> bool:
        if version not in {"", VERSION} or model in self._unloaded:
            return False
        try:
            await self._load(lambda: self._runtime.load(model))
        except BpuError:
            return False
        return True

    async def model(self, model: str, version: str) -> ModelInfo:
        self._check(model, version)
        return await self._do(lambda: self._runtime.info(model))

    async def run(self, asked: NamedInference, left_s: float | None) -> InferResult:
        self._check(asked.request.model, "")
        call = InferCall(self._runtime, asked.request, left_s, asked.start_within_s)
        result, _ = await call.run(self._frames, self._opening)
        return result

    async def statistics(self, model: str, version: str) -> tuple[ModelTotals, ...]:
        wanted = None
        if model:
            self._check(model, version)
            wanted = (await self._do(lambda: self._runtime.info(model))).name
        found = await self._do(self._runtime.totals)
        return tuple(each for each in found if wanted is None or each.name == wanted)

    async def index(self) -> tuple[ModelState, ...]:
        entries = await self._do(self._runtime.list)
        names = sorted({entry.name for entry in entries})
        return tuple(
            ModelState(name, False, "unloaded")
            if name in self._unloaded
            else ModelState(name, True)
            for name in names
        )

    async def load(self, model: str, with_parameters: bool) -> None:
        if with_parameters:
            raise UsageError(
                "a board takes no configuration and no files with this call",
                hint="deploy the model with `bpu deploy`",
            )
        await self._load(lambda: self._runtime.load(model))
        self._unloaded.discard(model)

    async def unload(self, model: str) -> None:
        await self._do(lambda: self._runtime.unload(model))
        self._unloaded.add(model)

    def _check(self, model: str, version: str) -> None:
        if version not in {"", VERSION}:
            raise ModelNotFound(
                f"model {model} has no version {version!r}", hint=f"it is {VERSION}"
            )
        if model in self._unloaded:
            raise ModelNotFound(f"model {model} is unloaded", hint="load it first")

    async def _do(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._control, function)

    async def _load(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._loading, function)
