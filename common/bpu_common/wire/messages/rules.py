"""Every field and enum whose conversion is a decision; all others are derived as they stand."""

from __future__ import annotations

from typing import Any

from bpu_common.board import InferRequest
from bpu_common.daemon import BoardEvent, JobState, LinkState
from bpu_common.model import ExternalConstant
from bpu_common.perf import InferResult, PerfRequest
from bpu_common.program import Axis, LoadImage, Tile
from bpu_common.tensor import TensorSpec
from bpu_common.wire.messages.arrays import MAX_RANK, arrays_field, inputs_field
from bpu_common.wire.messages.derive import Derivation
from bpu_common.wire.messages.record import Hook, Most, Spread, at_most

MAX_AXIS = 1 << 16
"""Positions on one axis of a resize."""


def _write_aligned_shape(spec: TensorSpec, message: Any) -> None:  # noqa: ANN401
    if spec.aligned_shape != spec.shape:  # the class takes `shape` when it is given none
        message.aligned_shape.extend(spec.aligned_shape)


def _read_aligned_shape(message: Any) -> tuple[int, ...]:  # noqa: ANN401
    at_most(message.aligned_shape, MAX_RANK)
    return tuple(message.aligned_shape)


def _write_frame(event: BoardEvent, message: Any) -> None:  # noqa: ANN401
    if event.frame:  # it shares a oneof with `link`
        message.frame = event.frame


def _read_frame(message: Any) -> bytes:  # noqa: ANN401
    frame: bytes = message.frame
    return frame


WIRE = Derivation(
    rules={
        Axis: {"low": Most(MAX_AXIS), "high": Most(MAX_AXIS), "frac": Most(MAX_AXIS)},
        BoardEvent: {"frame": Hook("frame", _write_frame, _read_frame)},
        ExternalConstant: {"shape": Most(MAX_RANK)},
        InferRequest: {"inputs": inputs_field("inputs")},
        InferResult: {"outputs": arrays_field("outputs")},
        LoadImage: {
            "image": Spread(("offset_bytes", "height", "width", "stride_bytes", "input_type"))
        },
        PerfRequest: {"inputs": inputs_field("inputs")},
        TensorSpec: {
            "shape": Most(MAX_RANK),
            "aligned_shape": Hook("aligned_shape", _write_aligned_shape, _read_aligned_shape),
        },
        Tile: {"shape_hwc": Spread(("height", "width", "channels"))},
    },
    # a newer daemon may know more states than its caller
    fallbacks=(JobState.LOST, LinkState.DOWN),
)
