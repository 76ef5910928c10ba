"""The supervisor: runs the agent, starts it again when it ends, keeps its log bounded.

A lock on a file tells that it lives; there is never more than one for a folder. The agent does not
outlive it: the kernel kills the agent when the supervisor dies, so whoever finds the socket dead
only has to start a supervisor again, and no stray agent is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bpu_board.service.folder import Folder
from bpu_common.errors import InputError
from bpu_common.files import writing
from bpu_common.json_form import parse_json

LOG_BYTES = 1 << 20
"""The log and the one before it have at most this size."""

_SHORT_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_STOP_S = 10.0
_POLL_S = 0.05
_READY = b"bpu-agent:"  # the agent's first line, once it listens
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """One agent, kept running until SIGTERM or SIGINT."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._agent: subprocess.Popen[bytes] | None = None
        self._restarts = 0

    def run(self) -> bool:
        """Supervise until a signal ends it; False at once if another one does so already."""
        self._folder.make()
        with writing(self._folder.lock):
            handle = os.open(self._folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._end())
            self._loop(handle)
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)
        return True

    def _loop(self, handle: int) -> None:
        pause_s = _SHORT_PAUSE_S
        while not self._stop.is_set():
            came_up = self._run_agent(handle)
            self._restarts += 1
            # One that served and was killed comes back at once; one that never starts may wait.
            pause_s = _SHORT_PAUSE_S if came_up else min(2 * pause_s, _LONGEST_PAUSE_S)
            self._stop.wait(pause_s)

    def _run_agent(self, handle: int) -> bool:
        """Run the agent to its end; True if it came to listen."""
        log = _Log(self._folder.log)
        try:
            agent = subprocess.Popen(
                self._folder.agent_command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder.root,
                umask=0o077,
                preexec_fn=_die_with_parent(),
            )
        except OSError as error:
            log.write(f"supervisor: cannot start the agent: {error}\n".encode())
            return False
        self._agent = agent
        if self._stop.is_set():  # the signal came before there was an agent to end
            agent.terminate()
        _write_state(handle, agent.pid, self._restarts)
        came_up = False
        assert agent.stdout is not None
        with agent.stdout as output:
            while data := os.read(output.fileno(), 1 << 16):
                came_up = came_up or _READY in data
                log.write(data)
        status = agent.wait()
        self._agent = None
        log.write(f"supervisor: the agent ended with status {status}\n".encode())
        return came_up

    def _end(self) -> None:
        self._stop.set()
        if self._agent is not None:
            self._agent.terminate()


class _Log:
    """A file that becomes the one before when it is full. Failures to write lose lines only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            with self._path.open("ab") as file:
                file.write(data)
                full = file.tell() > LOG_BYTES
            if full:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))


def start(folder: Folder) -> subprocess.Popen[bytes] | None:
    """Have a supervisor, in the background; None, and nothing happens, if there is one."""
    if state(folder) is not None:
        return None
    return subprocess.Popen(
        folder.supervisor_command(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder.root,
        start_new_session=True,
    )


def stop(folder: Folder) -> None:
    """End the supervisor and its agent; nothing happens if there is none."""
    signals = [signal.SIGTERM, signal.SIGKILL]
    while (found := state(folder)) is not None and signals:
        pid = int(found.get("supervisor_pid", 0))
        if pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signals.pop(0))
        end_s = time.monotonic() + _STOP_S
        while state(folder) is not None and time.monotonic() < end_s:
            time.sleep(_POLL_S)


def state(folder: Folder) -> dict[str, Any] | None:
    """What the living supervisor runs; None without one."""
    try:
        handle = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(handle, 4096, 0)
    else:
        return None
    finally:
        os.close(handle)
    try:
        found = parse_json(text.decode(errors="replace"))
    except InputError:  # it has the lock and has not started its agent yet
        return {}
    return found if isinstance(found, dict) else {}


def _write_state(handle: int, agent_pid: int, restarts: int) -> None:
    known = {"supervisor_pid": os.getpid(), "agent_pid": agent_pid, "restarts": restarts}
    text = json.dumps(known).encode()
    os.pwrite(handle, text, 0)
    os.ftruncate(handle, len(text))


def _die_with_parent() -> Callable[[], None]:
    """A function for the new process: the kernel kills it when this one dies."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    parent = os.getpid()

    def arrange() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died in between
                os._exit(1)

    return arrange
