"""The log of jobs: an SQLite file that survives restarts and kills.

One process at a time has it open (the file stays locked by it). Write-ahead logging makes a killed
writer leave the last complete state. A file that is damaged is moved aside, never deleted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from bpu_common.daemon import Job, JobState
from bpu_common.errors import InputError, UsageError
from bpu_common.perf import PerfResult
from bpu_common.wire.messages.daemon import result_from_bytes, result_to_bytes

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
MAX_JOBS = 1000
"""Older ones are deleted."""

_SCHEMA = """
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- ids are never used again
  board TEXT NOT NULL,
  kind TEXT NOT NULL,
  model TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL,
  client TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_wall_ns INTEGER NOT NULL,
  started_wall_ns INTEGER NOT NULL DEFAULT 0,
  ended_wall_ns INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  error_code TEXT NOT NULL DEFAULT '',
  result BLOB  -- an encoded openbpu.v1.PerfResult
) STRICT;
CREATE INDEX jobs_by_board ON jobs (board, id);
"""
_COLUMNS = (
    "id, board, kind, model, priority, state, client, detail, created_wall_ns, started_wall_ns, "
    "ended_wall_ns, error, error_code, result"
)
_LOCK_WAIT_S = 1.0
_Row = tuple[int, str, str, str, int, str, str, str, int, int, int, str, str, "bytes | None"]


class JobLog:
    """An open log. Use it from one thread at a time."""

    def __init__(self, path: Path, now_wall_ns: int) -> None:
        """Open or make the file; jobs that were active in it are lost from now on.

        Raises:
            UsageError: another process has it open, a newer OpenBPU made it, or it cannot be
                written.
        """
        self._path = path
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise _as_usage_error(error, path) from None
            aside = _move_aside(path)
            logger.error("the job log is damaged (%s); it is now %s", error, aside)
            self._connection = _open(path)
        lost = (JobState.LOST.value, now_wall_ns, "the daemon ended while the job was active")
        active = (JobState.WAITING.value, JobState.RUNNING.value)
        with self._connection:
            self._connection.execute(
                "UPDATE jobs SET state = ?, ended_wall_ns = ?, error = ? WHERE state IN (?, ?)",
                (*lost, *active),
            )

    def close(self) -> None:
        self._connection.close()

    def add(self, job: Job) -> Job:
        """Log a new job; returns it with its id."""
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO jobs (board, kind, model, priority, state, client, detail,"
                " created_wall_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(job.board, job.kind, job.model, job.priority, job.state.value),
                    *(job.client, job.detail, job.created_wall_ns),
                ),
            )
            number = cursor.lastrowid
            assert number is not None
            self._connection.execute("DELETE FROM jobs WHERE id <= ?", (number - MAX_JOBS,))
        return _from_row((number, *_to_row(job)[1:]))

    def update(self, job: Job) -> None:
        """Write a job's state, times, error and result."""
        result = None if job.result is None else result_to_bytes(job.result)
        with self._connection:
            self._connection.execute(
                "UPDATE jobs SET state = ?, started_wall_ns = ?, ended_wall_ns = ?, error = ?,"
                " error_code = ?, result = ? WHERE id = ?",
                (
                    *(job.state.value, job.started_wall_ns, job.ended_wall_ns, job.error),
                    *(job.error_code, result, job.id),
                ),
            )

    def get(self, number: int) -> Job | None:
        if number >= 1 << 63:  # more than SQLite can ask for
            return None
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (number,)
        ).fetchone()
        return None if row is None else _from_row(row)

    def newest(self, limit: int, board: str = "") -> tuple[Job, ...]:
        """Newest first; of one board, or of all."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE ? IN ('', board) ORDER BY id DESC LIMIT ?",
            (board, limit),
        )
        return tuple(_from_row(row) for row in rows)


def _open(path: Path) -> sqlite3.Connection:
    # Made before SQLite would make it with the permissions of any file; its companions copy them.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    connection = sqlite3.connect(path, timeout=_LOCK_WAIT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"the job log has version {version}, this program knows {SCHEMA_VERSION}",
                where=str(path),
                hint="use the newer OpenBPU, or move the file away",
            )
        connection.execute("BEGIN IMMEDIATE")  # takes the lock for good
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.commit()
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        columns = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
        if not columns >= set(_COLUMNS.split(", ")):
            raise sqlite3.DatabaseError("it has another form")
    except BaseException:
        connection.close()
        raise
    return connection


def _as_usage_error(error: sqlite3.Error, path: Path) -> UsageError:
    if "locked" in str(error):
        return UsageError(
            "another bpud has the job log open",
            where=str(path),
            hint="it was started with another XDG_RUNTIME_DIR: end it there with `bpud stop`",
        )
    return UsageError(
        f"the job log cannot be used: {error}",
        where=str(path),
        hint="see that the disk is not full and the folder is yours",
    )


def _move_aside(path: Path) -> Path:
    """Rename the file and drop its companions, which belong to it alone."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return aside


def _to_row(job: Job) -> _Row:
    return (
        *(job.id, job.board, job.kind, job.model, job.priority, job.state.value, job.client),
        *(job.detail, job.created_wall_ns, job.started_wall_ns, job.ended_wall_ns, job.error),
        job.error_code,
        None if job.result is None else result_to_bytes(job.result),
    )


def _from_row(row: _Row) -> Job:
    number, board, kind, model, priority, state, client, detail, *_ = row
    created_ns, started_ns, ended_ns, error, error_code, result = row[8:]
    return Job(
        id=number,
        board=board,
        model=model,
        state=JobState(state),
        kind=kind,
        priority=priority,
        client=client,
        detail=detail,
        created_wall_ns=created_ns,
        started_wall_ns=started_ns,
        ended_wall_ns=ended_ns,
        error=error,
        error_code=error_code,
        result=_result(result),
    )


def _result(data: bytes | None) -> PerfResult | None:
    if data is None:
        return None
    try:
        return result_from_bytes(data)
    except InputError:
        return None  # of an OpenBPU that wrote results otherwise
