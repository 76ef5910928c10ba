"""The daemon's files, and what it leaves for clients."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bpu_common.errors import InputError
from bpu_common.files import write_atomic
from bpu_common.json_form import parse_json
from bpu_host.boards.places import runtime_folder, state_folder


@dataclass(frozen=True, slots=True)
class DaemonFiles:
    """Where the daemon of this user keeps what.

    Attributes:
        runtime: folder of the socket, the lock and the record; gone after a reboot.
        state: folder of the job log and the log file.
    """

    runtime: Path
    state: Path

    @classmethod
    def of_user(cls) -> Self:
        """The folders of this user, made if they are missing.

        Raises:
            UsageError: a folder belongs to somebody else or cannot be made.
        """
        return cls(runtime_folder(), state_folder())

    @property
    def socket(self) -> Path:
        return self.runtime / "bpud.sock"

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"

    @property
    def lock(self) -> Path:
        return self.runtime / "bpud.lock"

    @property
    def record(self) -> Path:
        return self.runtime / "bpud.json"

    @property
    def jobs(self) -> Path:
        return self.state / "jobs.sqlite"

    @property
    def log(self) -> Path:
        return self.state / "bpud.log"


@dataclass(frozen=True, slots=True)
class Record:
    """What a running daemon leaves; a daemon that ends in order removes it."""

    process_id: int
    run_id: str
    version: str


def write_record(path: Path, record: Record) -> None:
    write_atomic(path, json.dumps(asdict(record)) + "\n")
    path.chmod(0o600)


def read_record(path: Path) -> Record | None:
    """The record, or None if there is none that can be read."""
    try:
        content = parse_json(path.read_text("utf-8"))
        return Record(int(content["process_id"]), str(content["run_id"]), str(content["version"]))
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return None


def is_locked(path: Path) -> bool:
    """Whether a daemon runs (it may still be starting)."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def listens(path: Path) -> bool:
    """Somebody accepts connections on a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def remove(*paths: Path) -> None:
    """Delete files that may be gone already."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
