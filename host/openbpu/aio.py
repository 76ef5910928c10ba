"""A board in asyncio programs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar, Unpack

from bpu_common.board import DeployResult
from bpu_common.errors import UsageError
from openbpu.board import CONNECT_S, IN_FLIGHT, Board, InferOptions, PerfOptions
from openbpu.inputs import Given
from openbpu.results import Measured, Result

_T = TypeVar("_T")


class AsyncBoard:
    """As `Board`, with methods to await; use it in an `async with` block.

    The calls run in threads of its own, so the event loop never waits. A call that is cancelled is
    no longer waited for, but what was sent to the board runs to its end.

    Args:
        board, timeout_s: as for `Board`.
        in_flight: calls that run at once; further ones wait.
    """

    def __init__(
        self, board: str = "", *, timeout_s: float = CONNECT_S, in_flight: int = IN_FLIGHT
    ) -> None:
        self._open: Callable[[], Board] = lambda: Board(board, timeout_s=timeout_s)
        self._board: Board | None = None
        self._pool = ThreadPoolExecutor(in_flight, "openbpu")

    async def __aenter__(self) -> Self:
        try:
            self._board = await self._call(self._open)
        except BaseException:
            self._pool.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def deploy(self, path: str | os.PathLike[str], *, replace: bool = True) -> DeployResult:
        """As `Board.deploy`."""
        board = self._opened
        return await self._call(lambda: board.deploy(path, replace=replace))

    async def infer(
        self,
        model: str,
        *inputs: Given,
        **options: Unpack[InferOptions],
    ) -> Result:
        """As `Board.infer`."""
        board = self._opened
        return await self._call(lambda: board.infer(model, *inputs, **options))

    async def perf(
        self,
        model: str,
        **options: Unpack[PerfOptions],
    ) -> Measured:
        """As `Board.perf`."""
        board = self._opened
        return await self._call(lambda: board.perf(model, **options))

    async def close(self) -> None:
        """End the connection; calls in flight are cancelled on the way."""
        board, self._board = self._board, None
        if board is not None:
            board.close()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    @property
    def _opened(self) -> Board:
        if self._board is None:
            raise UsageError("the board is not open", hint="async with AsyncBoard(...) as board:")
        return self._board

    async def _call(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)
