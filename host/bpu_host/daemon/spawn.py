"""Starting and ending the daemon's process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from bpu_common.errors import BpuError
from bpu_host.daemon.files import DaemonFiles, Record, is_locked, listens, read_record

logger = logging.getLogger(__name__)

START_S = 15.0
"""A daemon that does not answer within this time after its start has failed."""

_REVIVE_S = 4.0
_STOP_S = 10.0
_POLL_S = 0.02
_LOG_LINES = 5


def spawn(files: DaemonFiles, wait_s: float = START_S) -> Record:
    """Start a daemon of its own session and wait until it listens.

    Of several that are started at once one stays, and all callers find it.

    Raises:
        BpuError: it did not come up; the message has the end of its log.
    """
    command = [sys.executable, "-m", "bpu_host.cli.bpud", "run", "--log", os.fspath(files.log)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    # It may end before this process does: a thread takes its exit status.
    threading.Thread(target=process.wait, name="bpud", daemon=True).start()
    end_s = time.monotonic() + wait_s
    while time.monotonic() < end_s:
        ended = process.poll() is not None
        if listens(files.socket) and (record := read_record(files.record)) is not None:
            return record
        if ended and not is_locked(files.lock):
            break
        time.sleep(_POLL_S)
    raise BpuError(
        "the daemon did not start",
        where=os.fspath(files.log),
        hint=f"its log ends with:\n{_tail(files.log)}",
    )


def revive(files: DaemonFiles) -> bool:
    """Start the daemon again if it did not end in order; whether one listens then.

    A daemon that was stopped, or never started, stays so.
    """
    end_s = time.monotonic() + _REVIVE_S
    while is_locked(files.lock):  # it is starting, or ending
        if listens(files.socket):
            return True
        if time.monotonic() > end_s:
            return False
        time.sleep(_POLL_S)
    if read_record(files.record) is None:
        return False
    try:
        spawn(files, _REVIVE_S)
    except BpuError as error:
        logger.warning("%s", error)
        return False
    return True


def end(files: DaemonFiles) -> bool:
    """Wait for the end of a daemon that was asked to end, then kill it; whether it ended itself."""
    end_s = time.monotonic() + _STOP_S
    while is_locked(files.lock):
        record = read_record(files.record)
        if time.monotonic() > end_s and record is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.process_id, signal.SIGKILL)  # it holds the lock: the id is its own
            return False
        time.sleep(_POLL_S)
    return True


def _tail(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "    (there is none)"
    return "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])
