"""The job log: restarts, kills, damage, versions, bounds."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bpu_common.daemon import Job, JobState
from bpu_common.errors import UsageError
from bpu_common.perf import NodeProfile, PerfResult, TimeStat
from bpu_host.daemon import joblog
from bpu_host.daemon.joblog import JobLog

NEW = Job(
    id=0,
    board="desk",
    model="net",
    state=JobState.WAITING,
    priority=7,
    client="a test",
    detail="200 frames",
    created_wall_ns=1_700_000_000_000_000_000,
)
STAT = {"BPU": TimeStat(1.5, 3, 1, 4)}
RESULT = PerfResult(
    "net", "x3m", 2, 200, 0, 10**9, 2 * 10**9, 1, 9, 5, 7, 8, (3, 4), 77,
    NodeProfile(STAT, {}, {}),
)  # fmt: skip


def test_jobs_survive_and_active_ones_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    log = JobLog(path, 1)
    first, second, third = (log.add(replace(NEW, model=name)) for name in ("a", "b", "c"))
    done = replace(first, state=JobState.DONE, started_wall_ns=5, ended_wall_ns=6, result=RESULT)
    log.update(done)
    log.update(replace(second, state=JobState.RUNNING, started_wall_ns=7))
    log.close()
    log = JobLog(path, 1000)
    again = log.newest(10)
    assert [job.id for job in again] == [third.id, second.id, first.id]
    assert again[2] == done
    for job in again[:2]:
        assert job.state is JobState.LOST
        assert job.ended_wall_ns == 1000
        assert "daemon" in job.error
    assert log.add(NEW).id > third.id
    assert log.get(second.id) == again[1]
    assert log.get(99) is None
    assert log.get(1 << 63) is None
    assert log.newest(10, "rack") == ()
    log.close()


def test_the_file_is_private_and_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    log = JobLog(path, 1)
    log.add(NEW)
    for each in tmp_path.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    with pytest.raises(UsageError, match="another bpud"):
        JobLog(path, 1)
    log.close()
    JobLog(path, 1).close()


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"this is not a database, it is longer than a header" * 40)
    log = JobLog(path, 1)
    assert log.newest(1) == ()
    log.close()
    kept = tmp_path / "jobs.sqlite.damaged-1"
    assert kept.read_bytes().startswith(b"this is not")
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE jobs")
    other.close()
    JobLog(path, 1).close()  # a table is missing: the same
    assert (tmp_path / "jobs.sqlite.damaged-2").exists()


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobLog(path, 1).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {joblog.SCHEMA_VERSION + 1}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="version"):
        JobLog(path, 1)
    assert path.read_bytes() == before


def test_old_jobs_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "MAX_JOBS", 5)
    log = JobLog(tmp_path / "jobs.sqlite", 1)
    for _ in range(12):
        log.add(NEW)
    assert [job.id for job in log.newest(100)] == [12, 11, 10, 9, 8]
    log.close()


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from bpu_common.daemon import JobState
from bpu_host.daemon.joblog import JobLog
from tests.daemon.test_joblog import NEW, RESULT
log = JobLog(Path(sys.argv[1]), 1)
while True:
    job = log.add(NEW)
    log.update(replace(job, state=JobState.RUNNING))
    log.update(replace(job, state=JobState.DONE, result=RESULT))
    print(job.id, flush=True)
"""


def test_a_writer_killed_at_any_point_leaves_what_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    for count in (1, 60, 700):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            said = [int(process.stdout.readline()) for _ in range(count)]
            process.kill()
            said += [int(line) for line in process.stdout.readlines() if line.endswith("\n")]
        log = JobLog(path, 2)
        jobs = {job.id: job for job in log.newest(joblog.MAX_JOBS)}
        assert all(jobs[number].state is JobState.DONE for number in said if number in jobs)
        assert said[-1] in jobs
        assert all(not job.state.is_active for job in jobs.values())
        log.close()
