"""The worker process seen from outside: started when it is needed, and again after its end."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bpu_common.crashes import crash_reason
from bpu_common.errors import BpuError, CapacityError, DeviceFault, ModelFormatError
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray, align_up
from bpu_sim.engines.contained import layout

MAX_IDLE = 8
"""Workers kept between two frames; the one that was used least recently ends."""
RUN_CPU_S = 10
"""CPU time of one run, for each of its threads."""
OPEN_S = 30.0
"""Wall time in which all graphs of a model must be open, each after a run on zeros."""

MAX_SHARED_BYTES = 1 << 30
"""Graphs, constants, inputs and outputs of all parts of a model."""

_MAIN = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from bpu_sim.engines.contained.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ONE_HEAP = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
"""Address space is limited: nothing may reserve it for threads that do not compute."""
_ANSWERS: tuple[type[BpuError], ...] = (CapacityError, DeviceFault, ModelFormatError)
_KILLED = "the system ended it, as it does when memory runs out"


class Worker:
    """One process that runs the graphs of one model, one at a time; thread-safe.

    Args:
        threads: onnxruntime's threads within an operator.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._memory = -1
        self._size_bytes = 0
        self._count = 0
        self.opening = Stop(OPEN_S, "opening the CPU parts of the model")
        """For the sessions that are made with the model."""
        self.incarnation = 0
        """Counts the processes: a session of an earlier one is gone."""

    def take(self, size_bytes: int) -> tuple[int, int]:
        """Where a region of the shared memory for a new session begins, and its number.

        Raises:
            CapacityError: there is no memory, or the model has taken its share.
        """
        with self._lock:
            if self._memory < 0:
                self._memory = os.memfd_create("openbpu")
                weakref.finalize(self, os.close, self._memory)
            start = self._size_bytes
            end = align_up(start + size_bytes, mmap.ALLOCATIONGRANULARITY)
            if end > MAX_SHARED_BYTES:
                raise CapacityError(
                    f"the CPU parts of a model share at most {MAX_SHARED_BYTES} bytes with others",
                    hint="convert a model with smaller tensors at the edges of its CPU parts",
                )
            try:
                os.truncate(self._memory, end)
            except OSError as error:
                raise _no_memory(size_bytes) from error
            self._size_bytes = end
            self._count += 1
            return start, self._count

    def write(self, at: int, array: AnyArray) -> None:
        """Copy an array into the shared memory.

        Raises:
            CapacityError: there is no memory.
        """
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        try:
            while data:
                done = os.pwrite(self._memory, data, at)
                data, at = data[done:], at + done
        except OSError as error:
            raise _no_memory(len(data)) from error

    def read(self, at: int, item: layout.Item) -> AnyArray:
        """A copy of an array in the shared memory."""
        array: AnyArray = np.empty(item.shape, item.dtype)
        data = array.reshape(-1).view(np.uint8).data
        while data:
            done = os.preadv(self._memory, [data], at)
            if not done:
                raise DeviceFault(f"the worker of {item.name!r} cut its memory off")
            data, at = data[done:], at + done
        return array

    @contextmanager
    def held(self, stop: Stop) -> Iterator[None]:
        """Have the worker for oneself, started if it does not run.

        Raises:
            Cancelled, DeadlineExceeded: `stop`, while another frame had it.
            CapacityError: the system starts no process.
        """
        with stop.holding(self._lock):
            stop.check()
            if self._process is None or self._process.ended:
                self._end()
                self._process = _started(self._memory)
                self.incarnation += 1
            _used(self)
            yield

    def ask(self, message: bytes, what: str, stop: Stop) -> None:
        """Send a message and wait for the answer; inside `held` only.

        Args:
            what: the work is for, as errors call it.

        Raises:
            DeviceFault, CapacityError, ModelFormatError: what the worker answers, or how it ended.
            Cancelled, DeadlineExceeded: `stop`; the worker has ended.
        """
        process = self._process
        assert process is not None
        data = b""
        try:
            with contextlib.suppress(OSError), stop.calling(process.kill):
                process.socket.send(message)
                data = process.answer(stop.left_s())
            if not data:
                stop.check()
                raise _death(what, process.status(), self.threads)
        finally:
            if not data:
                self._end()
        _raise_answer(data, what)

    def end_if_idle(self) -> None:
        """End the process unless a frame has it; the next one starts another."""
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Process:
    """A running worker; it ends with this object, and with this process."""

    def __init__(self, process: subprocess.Popen[bytes], own: socket.socket) -> None:
        self.socket = own
        self._popen = process
        self.end = weakref.finalize(self, _reap, process, own)

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        self._popen.kill()

    def status(self) -> int:
        """How it ended, as `subprocess` tells it."""
        return self._popen.wait()

    def answer(self, left_s: float | None) -> bytes:
        """The next message of the worker; empty if it ended, or had to end after `left_s`."""
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        if not poller.poll(None if left_s is None else left_s * 1000):
            self.kill()
            return b""
        return self.socket.recv(layout.MAX_ANSWER_BYTES)


def _reap(process: subprocess.Popen[bytes], own: socket.socket) -> None:
    process.kill()
    process.wait()
    own.close()
    if process.stdin is not None:
        process.stdin.close()


def _started(memory: int) -> _Process:
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    paths = [str(Path(path).absolute()) for path in sys.path]
    command = [sys.executable, "-I", "-c", _MAIN, str(other.fileno()), str(memory), *paths]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[other.fileno(), memory],
            env={**os.environ, **_ONE_HEAP},
            start_new_session=True,  # an interrupt of the terminal is for the parent
        )
    except OSError as error:
        own.close()
        raise CapacityError(
            f"no process can be started for the CPU parts of a model: {error.strerror}"
        ) from error
    finally:
        other.close()
    return _Process(process, own)


_idle_lock = threading.Lock()
_recent: OrderedDict[int, weakref.ref[Worker]] = OrderedDict()


def _used(worker: Worker) -> None:
    """The worker is the last one used; of all others only the last ones stay."""
    key = id(worker)
    with _idle_lock:
        _recent[key] = weakref.ref(worker)
        _recent.move_to_end(key)
        old = [_recent.popitem(last=False)[1]() for _ in range(len(_recent) - MAX_IDLE)]
    for each in old:
        if each is not None:
            each.end_if_idle()


def _no_memory(size_bytes: int) -> BpuError:
    return CapacityError(f"no {size_bytes} bytes of memory for the CPU parts of a model")


def _raise_answer(data: bytes, what: str) -> None:
    """Raise what the worker says, if it does not say that all went well."""
    try:
        answer = json.loads(data)
        if not answer:
            return
        kinds = {kind.code: kind for kind in _ANSWERS}
        kind = kinds.get(str(answer["code"]), DeviceFault)
        message, where, hint = (str(answer[key]) for key in ("message", "where", "hint"))
    except (ValueError, KeyError, TypeError):
        raise DeviceFault(f"{what} gave an answer that makes no sense") from None
    raise kind(message, where=where, hint=hint)


def _death(what: str, status: int, threads: int) -> BpuError:
    """The error of a worker that ended by itself."""
    hint = "other frames and models are not affected; look at what this model computes on the CPU"
    if status == -signal.SIGXCPU:
        return CapacityError(
            f"{what} computed for more than {RUN_CPU_S * threads} s of CPU time and was ended",
            hint=hint,
        )
    try:
        ended_by = signal.Signals(-status)
    except ValueError:
        return DeviceFault(f"{what} ended its process with status {status}", hint=hint)
    killed = ended_by is signal.SIGKILL
    reason = _KILLED if killed else crash_reason(ended_by, "onnxruntime")
    return DeviceFault(
        f"{what} ended its process by {ended_by.name}" + (f": {reason}" if reason else ""),
        hint=hint,
    )
