"""Values of the daemon survive the wire."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from bpu_common.daemon import (
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    JobState,
    LinkState,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.errors import InputError
from bpu_common.frame import FrameInput
from bpu_common.perf import PerfProgress, PerfRequest
from bpu_common.wire.gen.openbpu.v1 import daemon_pb2 as pb
from bpu_common.wire.messages import daemon
from tests.daemon.test_joblog import NEW, RESULT

LINK = BoardLink("desk", LinkState.DOWN, "unix:/x", 1, 2, "no way", "USAGE", 3, 4, 5, 6, 7)
JOB = replace(
    NEW,
    id=3,
    state=JobState.RUNNING,
    kind="other",
    started_wall_ns=4,
    ended_wall_ns=5,
    error="é\n  hint: x",
    error_code="DEADLINE",
    waits_for=(1, 2),
    result=RESULT,
    frames_done=6,
    frames_total=7,
)
STATUS = DaemonStatus(1, "0.1", 2, "id", 3, "unix:/y", (LINK,), (JOB,), 4, 5, 6, "broken")


def test_no_field_of_the_examples_has_its_default() -> None:
    for value in (LINK, JOB, STATUS):
        for field in fields(value):
            assert getattr(value, field.name) != field.default, field.name


def test_values_survive() -> None:
    status = pb.DaemonStatus.FromString(daemon.STATUS.to_pb(STATUS).SerializeToString())
    assert daemon.STATUS.from_pb(status) == STATUS
    for state in LinkState:
        link = replace(LINK, state=state)
        assert daemon.LINK.from_pb(daemon.LINK.to_pb(link)) == link
    for job_state in JobState:
        job = replace(JOB, state=job_state)
        assert daemon.JOB.from_pb(daemon.JOB.to_pb(job)) == job
    for event in (JOB, RESULT, PerfProgress(1, 2, 3, 4.5, 6, 7)):
        assert daemon.JOB_EVENT.from_pb(daemon.JOB_EVENT.to_pb(event)) == event
    for watch in (WatchRequest(), WatchRequest(("a", "b"), 5, follow=False)):
        assert daemon.WATCH_REQUEST.from_pb(daemon.WATCH_REQUEST.to_pb(watch)) == watch
    for seen in (BoardEvent("desk", 1, b"frame", None, 2), BoardEvent("desk", 0, b"", LINK, 3)):
        assert daemon.BOARD_EVENT.from_pb(daemon.BOARD_EVENT.to_pb(seen)) == seen
    assert daemon.result_from_bytes(daemon.result_to_bytes(RESULT)) == RESULT


def test_a_request_survives_with_its_arrays() -> None:
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    asked = PerfJobRequest("desk", PerfRequest("net", 5, inputs={"x": FrameInput(array)}), 9, "me")
    got = daemon.PERF_JOB_REQUEST.from_pb(daemon.PERF_JOB_REQUEST.to_pb(asked))
    assert (got.board, got.priority, got.client) == ("desk", 9, "me")
    assert got.request.frame_count == 5
    assert (got.request.inputs["x"].array == array).all()


def test_what_a_newer_daemon_adds_is_read() -> None:
    job = daemon.JOB.to_pb(Job(1, "desk", "net", JobState.DONE))
    job.state = 99  # type: ignore[assignment]
    assert daemon.JOB.from_pb(job).state is JobState.LOST
    with pytest.raises(InputError, match="not a telemetry frame"):
        daemon.frame_from_bytes(b"\xff\xff\xff")


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"", b"\x0a\x02\x08\x01"])
def test_bytes_that_are_no_frame_and_no_result_are_said_so(data: bytes) -> None:
    """An empty frame says nothing of the queue: it is none."""
    with pytest.raises(InputError):
        daemon.frame_from_bytes(data)
    with pytest.raises(InputError):
        daemon.result_from_bytes(b"\xff\xff\xff")
