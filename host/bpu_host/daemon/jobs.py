"""Measurements, one at a time per board: queue, run, log. Everything here is on the event loop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from bpu_common.daemon import (
    PRIORITY_MOST,
    BoardLink,
    Job,
    JobEvent,
    JobState,
    PerfJobRequest,
)
from bpu_common.errors import BoardUnreachable, BpuError, Cancelled, CapacityError, UsageError
from bpu_common.perf import PerfProgress, PerfRequest, PerfResult
from bpu_common.words import counted
from bpu_host.daemon.joblog import JobLog
from bpu_host.daemon.turns import Turns
from bpu_host.remote import Board

logger = logging.getLogger(__name__)

MAX_INPUT_BYTES = 256 << 20
"""Arrays of all jobs that wait or run; a job that would bring more is refused."""

MAX_RUNNING = 32
"""Boards that are measured at once; more jobs wait."""

_CONNECT_S = 10.0
_ATTEMPTS = 2  # a measurement is safe to repeat: once, after a lost connection
_TEXT_CHARACTERS = 200

_T = TypeVar("_T")


class Boards(Protocol):
    """Where boards are."""

    async def connected(self, name: str, wait_s: float, after: int = 0) -> BoardLink:
        """A board's connection, up, and a later one than number `after`.

        Raises:
            UsageError: no such board.
            BoardUnreachable: not connected within the time.
        """

    async def check_known(self, name: str) -> None:
        """See that there is such a board.

        Raises:
            UsageError: there is not.
        """


@dataclass(slots=True, eq=False)
class _Active:
    """A job that waits or runs."""

    job: Job
    request: PerfRequest
    input_bytes: int
    events: deque[JobEvent] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    cancelled_by: str = ""
    failure: BpuError | None = None
    ending: bool = False
    ended: bool = False

    def tell(self, event: JobEvent) -> None:
        """Queue an event for the caller; only the newest report matters."""
        last = self.events[-1] if self.events else None
        if isinstance(event, PerfProgress) and isinstance(last, PerfProgress):
            self.events.pop()
        self.events.append(event)
        self.changed.set()


class JobRunner:
    """All jobs of the daemon."""

    def __init__(self, log: JobLog, boards: Boards) -> None:
        """The log is this object's from now on; it is closed by `close`."""
        self._log = log
        self._boards = boards
        self._turns: dict[str, Turns] = {}
        self._active: dict[int, _Active] = {}
        self._disk = ThreadPoolExecutor(1, "job log")  # one thread: writes keep their order
        self._measuring = ThreadPoolExecutor(MAX_RUNNING, "perf")
        self._closing = False

    async def run(self, asked: PerfJobRequest) -> AsyncGenerator[JobEvent, None]:
        """Queue a measurement and tell what becomes of it; the result comes last.

        Leaving the iteration cancels the job.

        Raises:
            UsageError, CapacityError: it is not taken.
            BpuError: it failed.
        """
        active = await self._begun(asked)
        try:
            while True:
                while active.events:
                    yield active.events.popleft()
                if active.ended:
                    break
                active.changed.clear()
                await active.changed.wait()
        finally:
            self._take_back(active, "its caller left")
        if active.failure is not None:
            raise active.failure
        assert active.job.result is not None
        yield active.job.result

    async def cancel(self, number: int) -> Job:
        """Take a job back and wait until it is over.

        Raises:
            UsageError: there is no such job, or it is over already.
        """
        active = self._active.get(number)
        if active is None:
            job = await self._write(lambda: self._log.get(number))
            if job is None:
                raise UsageError(f"no job {number}", hint="`bpu jobs` lists them")
            raise UsageError(f"job {number} is over: it is {job.state.value}")
        self._take_back(active, "cancelled by request")
        assert active.task is not None
        await asyncio.wait([active.task])
        return active.job

    def active(self, board: str = "") -> tuple[Job, ...]:
        """What waits and runs, by board in the order in which it will run."""
        found = []
        for name, turns in sorted(self._turns.items()):
            if board in {"", name}:
                order = [turns.running, *turns.waiting]
                found += [self._seen(self._active[each]) for each in order if each in self._active]
        return tuple(found)

    async def listed(self, board: str, limit: int, active_only: bool) -> tuple[Job, ...]:
        """Jobs of one board or of all: the active ones, then those of the log, newest first."""
        active = self.active(board)
        if active_only:
            return active[:limit]
        logged = await self._write(lambda: self._log.newest(limit, board))
        now = {job.id: job for job in (*self.active(board),)}
        return tuple(now.get(job.id, job) for job in logged)

    async def close(self) -> None:
        """Cancel what is active, write it down, close the log."""
        self._closing = True
        tasks = []
        for active in list(self._active.values()):
            self._take_back(active, "the daemon was stopped")
            if active.task is not None:
                tasks.append(active.task)
        if tasks:
            await asyncio.wait(tasks)
        await self._write(self._log.close)
        self._disk.shutdown()
        self._measuring.shutdown(wait=False)

    # ---- one job ---------------------------------------------------------------------------

    async def _begun(self, asked: PerfJobRequest) -> _Active:
        """A job in the queue; if the caller leaves meanwhile, it is taken back once it is there."""
        begin = asyncio.ensure_future(self._begin(asked))
        try:
            return await asyncio.shield(begin)
        except asyncio.CancelledError:

            def leave(done: asyncio.Future[_Active]) -> None:
                if not done.cancelled() and done.exception() is None:
                    self._take_back(done.result(), "its caller left")

            begin.add_done_callback(leave)
            raise

    async def _begin(self, asked: PerfJobRequest) -> _Active:
        if not 0 <= asked.priority <= PRIORITY_MOST:
            raise UsageError(f"job priority {asked.priority} is not in [0,{PRIORITY_MOST}]")
        await self._boards.check_known(asked.board)
        input_bytes = sum(each.array.nbytes for each in asked.request.inputs.values())
        held = sum(active.input_bytes for active in self._active.values())
        if held + input_bytes > MAX_INPUT_BYTES:
            raise CapacityError(
                f"the waiting measurements hold {held} bytes of inputs already",
                hint="wait until one has ended, or measure with random inputs",
            )
        if self._closing:
            raise BoardUnreachable("the daemon ends")
        self._turns.get(asked.board, Turns()).check_room()
        job = await self._write(lambda: self._log.add(_new_job(asked)))
        active = _Active(job, asked.request, input_bytes)
        turns = self._turns.setdefault(asked.board, Turns())
        try:
            turns.add(job.id, asked.priority)
        except CapacityError as error:
            await self._finish(active, JobState.FAILED, error)
            raise
        self._active[job.id] = active
        active.task = asyncio.create_task(self._drive(active))
        self._next(asked.board)
        self._tell_waiting(asked.board)
        return active

    async def _drive(self, active: _Active) -> None:
        """A job's life after it was queued; never raises."""
        state = JobState.DONE
        failure: BpuError | None = None
        result: PerfResult | None = None
        try:
            await active.turn.wait()
            await self._change(
                active, state=JobState.RUNNING, started_wall_ns=time.time_ns(), waits_for=()
            )
            result = await self._measure(active)
        except asyncio.CancelledError:
            state, failure = JobState.CANCELLED, Cancelled(active.cancelled_by or "cancelled")
        except BpuError as error:
            state, failure = JobState.FAILED, error
        except Exception as error:  # the queue must go on
            logger.error("job %d: unexpected failure", active.job.id, exc_info=error)
            state = JobState.FAILED
            failure = BpuError(
                f"the daemon failed: {error}", hint="its log has the details: bpud.log"
            )
        await self._finish(active, state, failure, result)

    async def _measure(self, active: _Active) -> PerfResult:
        loop = asyncio.get_running_loop()

        def report(progress: PerfProgress) -> None:
            loop.call_soon_threadsafe(self._report, active, progress)

        link = await self._boards.connected(active.job.board, _CONNECT_S)
        for attempt in range(1, _ATTEMPTS + 1):
            board = Board(link.address, name=active.job.board)
            work = loop.run_in_executor(self._measuring, board.perf, active.request, report)
            try:
                return await asyncio.shield(work)
            except BoardUnreachable as error:
                if attempt == _ATTEMPTS:
                    raise
                logger.info("job %d: %s; measuring again", active.job.id, error.message)
            finally:
                board.close()  # ends the call, and the thread with it
                await asyncio.wait([work])
                work.exception()
            link = await self._boards.connected(active.job.board, _CONNECT_S, link.connections)
        raise AssertionError("the last attempt returns or raises")

    def _report(self, active: _Active, progress: PerfProgress) -> None:
        active.job = replace(
            active.job,
            frames_done=progress.frames_done,
            frames_total=progress.frames_total,
        )
        active.tell(progress)

    async def _change(self, active: _Active, **changes: object) -> None:
        active.job = replace(active.job, **changes)  # type: ignore[arg-type]
        job = active.job
        active.tell(job)
        await self._write(lambda: self._log.update(job))

    async def _finish(
        self,
        active: _Active,
        state: JobState,
        failure: BpuError | None,
        result: PerfResult | None = None,
    ) -> None:
        """Write the end down, give the board to the next one, wake the caller."""
        active.ending = True
        job = active.job = replace(
            active.job,
            state=state,
            ended_wall_ns=time.time_ns(),
            waits_for=(),
            error="" if failure is None else str(failure),
            error_code="" if failure is None else failure.code,
            result=result,
        )
        logger.info("job %d on %s is %s %s", job.id, job.board, state.value, job.error)
        try:
            await self._write(lambda: self._log.update(job))
        except BpuError as error:
            logger.error("job %d could not be logged: %s", job.id, error)
        self._active.pop(job.id, None)
        turns = self._turns[job.board]
        turns.leave(job.id)
        if turns.running is None and not turns.waiting:
            del self._turns[job.board]
        else:
            self._next(job.board)
            self._tell_waiting(job.board)
        active.failure = failure
        active.ended = True
        active.changed.set()

    def _take_back(self, active: _Active, reason: str) -> None:
        if active.ending or active.cancelled_by:
            return
        active.cancelled_by = reason

        def cancel() -> None:
            if not active.ending and active.task is not None:
                active.task.cancel()

        # Not at once: a task that is cancelled before its first step never runs its clean-up.
        asyncio.get_running_loop().call_soon(cancel)

    def _next(self, board: str) -> None:
        number = self._turns[board].take()
        if number is not None:
            self._active[number].turn.set()

    def _tell_waiting(self, board: str) -> None:
        """Let those who wait know whom they wait for, if it has changed."""
        for number in self._turns[board].waiting:
            active = self._active[number]
            seen = self._seen(active)
            if seen.waits_for != active.job.waits_for:
                active.job = seen
                active.tell(seen)

    def _seen(self, active: _Active) -> Job:
        turns = self._turns[active.job.board]
        return replace(active.job, waits_for=turns.before(active.job.id))

    async def _write(self, function: Callable[[], _T]) -> _T:
        """Work on the log, on its thread; it is done whole even if the caller is cancelled.

        Raises:
            CapacityError: the file cannot be written.
        """
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self._disk, function))
        except sqlite3.Error as error:
            raise CapacityError(
                f"the job log cannot be used: {error}", hint="see that its disk is not full"
            ) from None


def _new_job(asked: PerfJobRequest) -> Job:
    request = asked.request
    amount = counted(request.frame_count, "frame")
    if request.duration_ns:
        amount = f"{request.duration_ns / 1e9:g} s"
    detail = (
        f"{amount}, {counted(request.thread_num, 'thread')}, core {request.core_id or 'any'}, "
        f"priority {request.priority}"
    )
    return Job(
        id=0,
        board=asked.board,
        model=request.model[:_TEXT_CHARACTERS],
        state=JobState.WAITING,
        priority=asked.priority,
        client=asked.client[:_TEXT_CHARACTERS],
        detail=detail,
        created_wall_ns=time.time_ns(),
    )
