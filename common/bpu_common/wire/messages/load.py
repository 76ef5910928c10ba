"""Loads <-> messages."""

from __future__ import annotations

from bpu_common.load import LoadRequest, LoadState
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb


def load_request_to_pb(request: LoadRequest) -> pb.StartLoadRequest:
    return pb.StartLoadRequest(
        model=request.model,
        name=request.name,
        threads=request.threads,
        rate_hz=request.rate_hz,
        core_id=request.core_id,
        priority=request.priority,
        seed=request.seed,
    )


def load_request_from_pb(message: pb.StartLoadRequest) -> LoadRequest:
    """The request.

    Raises:
        UsageError: a value out of range.
    """
    return LoadRequest(
        model=message.model,
        name=message.name,
        threads=message.threads,
        rate_hz=message.rate_hz,
        core_id=message.core_id,
        priority=message.priority,
        seed=message.seed,
    )


def load_state_to_pb(state: LoadState) -> pb.LoadState:
    return pb.LoadState(
        name=state.name,
        request=load_request_to_pb(state.request),
        started_ns=state.started_ns,
        submitted=state.submitted,
        done=state.done,
        failed=state.failed,
        refused=state.refused,
    )


def load_state_from_pb(message: pb.LoadState) -> LoadState:
    return LoadState(
        name=message.name,
        request=load_request_from_pb(message.request),
        started_ns=message.started_ns,
        submitted=message.submitted,
        done=message.done,
        failed=message.failed,
        refused=message.refused,
    )
