"""Loads on a board's models: commands and their state, without ever blocking the screen."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import Protocol

from bpu_common.errors import BoardUnreachable, BpuError
from bpu_common.load import LoadRequest, LoadState
from bpu_host.client import connect
from bpu_host.remote import Board

_LOOK_S = 1.0
"""The board is asked for its loads so often: others may start and stop some."""

_END_S = 3.0


class LoadControl(Protocol):
    """Starts and stops loads; every method returns at once."""

    def start(self, request: LoadRequest) -> None:
        """Begin a load on a model."""
        ...

    def stop(self, model: str) -> None:
        """End all loads on a model, whoever started them."""
        ...

    def running(self) -> tuple[LoadState, ...]:
        """The loads as last seen."""
        ...

    def models(self) -> tuple[str, ...]:
        """Names of the board's models as last seen."""
        ...

    def take_failures(self) -> list[str]:
        """Why commands failed, since the last call."""
        ...

    def close(self) -> None:
        """End the loads that were started here."""
        ...


class BoardLoads:
    """Loads of the agent at an address, by a connection and a thread of its own."""

    def __init__(self, address: str) -> None:
        """Nothing is dialled yet: `begin` does it, a failing board is tried again later."""
        self._address = address
        self._commands: queue.Queue[LoadRequest | str | None] = queue.Queue()
        self._states: tuple[LoadState, ...] = ()
        self._models: tuple[str, ...] = ()
        self._failures: deque[str] = deque(maxlen=20)
        self._own: set[tuple[str, int]] = set()  # name and start: names come again
        self._board: Board | None = None
        self._thread = threading.Thread(target=self._run, name="loads", daemon=True)

    def begin(self) -> BoardLoads:
        """Start the thread; returns self."""
        self._thread.start()
        return self

    def start(self, request: LoadRequest) -> None:
        self._commands.put(request)

    def stop(self, model: str) -> None:
        self._commands.put(model)

    def running(self) -> tuple[LoadState, ...]:
        return self._states

    def models(self) -> tuple[str, ...]:
        return self._models

    def take_failures(self) -> list[str]:
        found = []
        while self._failures:
            found.append(self._failures.popleft())
        return found

    def close(self) -> None:
        self._commands.put(None)
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _run(self) -> None:
        look_s = 0.0
        command: LoadRequest | str | None = ""
        while command is not None:
            try:
                command = self._commands.get(timeout=max(0.01, look_s - time.monotonic()))
            except queue.Empty:
                command = ""
            look_s = time.monotonic() + _LOOK_S
            try:
                board = self._connected()
                self._carry_out(board, command)
                self._look(board)
            except BpuError as error:
                if command:
                    self._failures.append(error.message)
                if isinstance(error, BoardUnreachable):
                    self._disconnect()
        self._disconnect()

    def _carry_out(self, board: Board, command: LoadRequest | str | None) -> None:
        if isinstance(command, LoadRequest):
            state = board.start_load(
                command.model,
                threads=command.threads,
                rate_hz=command.rate_hz,
                core_id=command.core_id,
                priority=command.priority,
                seed=command.seed,
            )
            self._own.add((state.name, state.started_ns))
        elif command is None:
            for state in board.loads():
                if (state.name, state.started_ns) in self._own:
                    board.stop_load(state.name)
        elif command:
            for state in board.loads():
                if state.request.model == command:
                    board.stop_load(state.name)

    def _look(self, board: Board) -> None:
        self._states = board.loads()
        self._models = tuple(entry.name for entry in board.models())

    def _connected(self) -> Board:
        if self._board is None:
            self._board = connect(self._address)
        return self._board

    def _disconnect(self) -> None:
        board, self._board = self._board, None
        self._states = ()
        if board is not None:
            board.close()
