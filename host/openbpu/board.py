"""A board, by name or address: deploy, infer, measure."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypedDict, Unpack

from bpu_common.board import BoardInfo, DeployResult, ModelEntry, ModelInfo
from bpu_common.errors import UsageError
from bpu_common.perf import DEFAULT_FRAME_COUNT, MAX_THREADS, PerfRequest
from bpu_common.pictures import Fit
from bpu_common.task import CORE_ANY, PRIORITY_LOWEST
from bpu_common.words import counted
from bpu_host.client import connect, default_board
from openbpu.inputs import Frame, Given, frame_inputs
from openbpu.results import Measured, Result

CONNECT_S = 10.0
IN_FLIGHT = 8
"""Frames of a batch that are on their way at once."""


class InferOptions(TypedDict, total=False):
    """How a frame is run.

    Attributes:
        fit: how a picture of other proportions becomes the input's: `stretch` (the default), `crop`
            or `letterbox`.
        core_id: 0 any core (the default), 1 core 0, 2 core 1.
        priority: 0 (the default) to 255, which preempts.
        timeout_s: a frame not started by then is dropped; None: never.
    """

    fit: Fit
    core_id: int
    priority: int
    timeout_s: float | None


class PerfOptions(TypedDict, total=False):
    """How a model is measured.

    Attributes:
        threads: frames in flight, 1 (the default) to 8.
        frames: of all threads together (200 by default); not used with `duration_s`.
        duration_s: device time to run for.
        core_id, priority: as for a frame.
        profile: also the time of every node (`Measured.source`).
        timeout_s: wall time after which the measurement is given up.
    """

    threads: int
    frames: int
    duration_s: float
    core_id: int
    priority: int
    profile: bool
    timeout_s: float | None


class Board:
    """A board's agent; use it in a `with` block or call `close`. Any thread may.

    Args:
        board: a name of `bpu boards list`, or an agent at `unix:PATH` or `HOST:PORT`; by default
            that of BPU_BOARD, or the only board of the inventory.
        timeout_s: for it to answer at first.

    Every method raises a BpuError: that of the board, or BoardUnreachable.
    """

    def __init__(self, board: str = "", *, timeout_s: float = CONNECT_S) -> None:
        self.name = board or default_board()
        self._board = connect(self.name, timeout_s=timeout_s)
        self._known: dict[str, ModelInfo] = {}
        self._described: BoardInfo | None = None
        self._lock = Lock()

    @property
    def info(self) -> BoardInfo:
        """What this board is: chip, cores, versions, limits."""
        return self._board.info()

    def models(self) -> tuple[ModelEntry, ...]:
        """Every model on the board."""
        return self._board.models()

    def model(self, name: str) -> ModelInfo:
        """Inputs, outputs, parts and nodes of a model, by name or digest."""
        return self._board.model(name)

    def deploy(self, path: str | os.PathLike[str], *, replace: bool = True) -> DeployResult:
        """Send a model file; one that is there already is not sent again.

        Args:
            replace: remove older files all of whose models have a name in this one.

        Raises:
            ModelFormatError: not a model; nothing is sent.
            DeployError, CapacityError: it is not on the board.
        """
        self._forget()
        return self._board.deploy(Path(path), replace=replace)

    def remove(self, name: str) -> None:
        """Delete the file that holds a model."""
        self._forget()
        self._board.remove(name)

    def infer(
        self,
        model: str,
        *inputs: Given,
        **options: Unpack[InferOptions],
    ) -> Result:
        """Run one frame.

        Args:
            inputs: one for each input of the model, in order: a path, a picture or an array.
            options: see `InferOptions`.

        Raises:
            InputError: an input does not fit.
            ModelNotFound, CapacityError, DeadlineExceeded, DeviceFault: from the board.
        """
        return self.infer_frame(model, inputs, **options)

    def infer_frame(self, model: str, frame: Frame, **options: Unpack[InferOptions]) -> Result:
        """As `infer`, for a frame given as a tuple, by name, or as the only input."""
        fit = options.get("fit", "stretch")
        given = frame_inputs(frame, self._known_model(model).inputs, fit)
        found = self._board.infer(
            model,
            given,
            core_id=options.get("core_id", CORE_ANY),
            priority=options.get("priority", PRIORITY_LOWEST),
            timeout_s=options.get("timeout_s"),
        )
        about = self._about()
        latency_us = found.latency_ns / 1e3
        return Result(found.model, found.outputs, latency_us, about.device, about.clock)

    def batch(
        self,
        model: str,
        frames: Iterable[Frame],
        **options: Unpack[InferOptions],
    ) -> list[Result]:
        """Run frames, up to `IN_FLIGHT` at a time, each given as to `infer_frame`, in order."""
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(lambda frame: self.infer_frame(model, frame, **options), frames))

    def perf(
        self,
        model: str,
        **options: Unpack[PerfOptions],
    ) -> Measured:
        """Measure a model in a closed loop, in device time.

        Args:
            options: see `PerfOptions`.

        Raises:
            UsageError: a value out of range.
        """
        threads = options.get("threads", 1)
        if threads > MAX_THREADS:
            raise UsageError(f"threads {threads} is not in [1,{MAX_THREADS}]")
        request = PerfRequest(
            model=model,
            frame_count=options.get("frames", DEFAULT_FRAME_COUNT),
            duration_ns=round(options.get("duration_s", 0.0) * 1e9),
            thread_num=threads,
            core_id=options.get("core_id", CORE_ANY),
            priority=options.get("priority", PRIORITY_LOWEST),
            profile=options.get("profile", False),
        )
        return Measured.of(self._board.perf(request, timeout_s=options.get("timeout_s")))

    def close(self) -> None:
        """End the connection; calls in flight are cancelled."""
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        with self._lock:
            known = f", {counted(len(self._known), 'model')} used" if self._known else ""
        return f"<Board {self.name}{known}>"

    def _known_model(self, name: str) -> ModelInfo:
        """Described by the board once, until this client deploys or removes something."""
        with self._lock:
            known = self._known.get(name)
        if known is None:
            known = self._board.model(name)
            with self._lock:
                self._known[name] = known
        return known

    def _about(self) -> BoardInfo:
        """What this board is, asked as seldom as `_known_model` asks."""
        with self._lock:
            known = self._described
        if known is None:
            known = self.info
            with self._lock:
                self._described = known
        return known

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._described = None
