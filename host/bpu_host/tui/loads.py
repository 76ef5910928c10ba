"""Loads on a board's models, driven from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from bpu_common.errors import BpuError
from bpu_common.perf import PerfRequest
from bpu_common.tensor import AnyArray
from bpu_host.remote import Board
from bpu_host.tui.state import Load

ROUND_NS = 60_000_000_000
"""A closed loop is asked for in rounds of this much device time."""

_RETRY_S = 1.0

OnFailure = Callable[[Load, str], None]
"""Called on another thread when a load ended by itself: why."""


class LoadControl(Protocol):
    """Starts and stops loads. One model has one load at most."""

    def start(self, load: Load) -> None:
        """Replace the model's load by this one; returns at once."""
        ...

    def stop(self, model: str) -> bool:
        """End the model's load; False if it has none."""
        ...

    def running(self) -> tuple[Load, ...]:
        """The loads there are, by name of the model."""
        ...

    def close(self) -> None:
        """End all."""
        ...


class BoardLoads:
    """Loads on the agent at an address; each has a connection of its own, whose end ends it."""

    def __init__(self, address: str, on_failure: OnFailure) -> None:
        self._address = address
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._drivers: dict[str, _Driver] = {}

    def start(self, load: Load) -> None:
        driver = _Driver(self._address, load, self._failed)
        with self._lock:
            before = self._drivers.pop(load.model, None)
            self._drivers[load.model] = driver
        if before is not None:
            before.stop()
        driver.start()

    def stop(self, model: str) -> bool:
        with self._lock:
            driver = self._drivers.pop(model, None)
        if driver is None:
            return False
        driver.stop()
        return True

    def running(self) -> tuple[Load, ...]:
        with self._lock:
            return tuple(self._drivers[name].load for name in sorted(self._drivers))

    def close(self) -> None:
        for load in self.running():
            self.stop(load.model)

    def _failed(self, driver: _Driver, reason: str) -> None:
        with self._lock:
            if self._drivers.get(driver.load.model) is not driver:
                return
            del self._drivers[driver.load.model]
        self._on_failure(driver.load, reason)


class _Driver:
    """One load on a thread of its own."""

    def __init__(
        self, address: str, load: Load, on_failure: Callable[[_Driver, str], None]
    ) -> None:
        self.load = load
        self._address = address
        self._on_failure = on_failure
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._thread = threading.Thread(target=self._run, name=f"load {load.model}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Calls in flight are cancelled, which frees the cores."""
        with self._lock:
            self._stopped.set()
            if self._board is not None:
                self._board.close()

    def _run(self) -> None:
        try:
            board = Board.connect(self._address)
            with self._lock:
                self._board = board
                if self._stopped.is_set():
                    board.close()
                    return
            with board:
                if self.load.rate_hz > 0:
                    self._beat(board)
                else:
                    self._loop(board)
        except BpuError as error:
            reason = error.message
        except ValueError as error:  # what a closed channel raises
            reason = str(error)
        else:
            return
        if not self._stopped.is_set():
            self._on_failure(self, reason)

    def _loop(self, board: Board) -> None:
        """The next frame when one is done, on the board itself."""
        load = self.load
        request = PerfRequest(
            model=load.model,
            duration_ns=ROUND_NS,
            thread_num=load.threads,
            core_id=load.core_id,
            priority=load.priority,
        )
        while not self._stopped.is_set():
            board.perf(request)

    def _beat(self, board: Board) -> None:
        """A frame at each beat; one that finds all threads busy is left out."""
        load = self.load
        arrays = _noise(board, load.model)
        free = threading.Semaphore(load.threads)
        failed: list[BpuError | ValueError] = []

        def one() -> None:
            try:
                board.infer(load.model, arrays, core_id=load.core_id, priority=load.priority)
            except (BpuError, ValueError) as error:
                failed.append(error)
            finally:
                free.release()

        with ThreadPoolExecutor(load.threads) as pool:
            due_s = time.monotonic()
            while not self._stopped.is_set() and not failed:
                if free.acquire(blocking=False):
                    pool.submit(one)
                due_s = max(due_s + 1 / load.rate_hz, time.monotonic() - _RETRY_S)
                self._stopped.wait(max(0.0, due_s - time.monotonic()))
        if failed:
            raise failed[0]


def _noise(board: Board, model: str) -> dict[str, AnyArray]:
    """Arrays for every input of a model; the same each time."""
    random = np.random.default_rng(1)
    arrays: dict[str, AnyArray] = {}
    for each in board.model(model).inputs:
        shape, dtype = each.caller_shape, each.caller_dtype.numpy
        if each.input_type.is_image:
            arrays[each.tensor.name] = random.integers(0, 256, shape, np.uint8)
        else:
            arrays[each.tensor.name] = random.standard_normal(shape).astype(dtype)
    return arrays
