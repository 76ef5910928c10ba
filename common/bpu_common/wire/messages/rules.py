"""Every field and enum whose conversion is a decision; all others are derived as they stand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bpu_common.board import InferRequest
from bpu_common.daemon import BoardEvent, JobState, LinkState
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import ModelFormatError
from bpu_common.limits import MAX_RANK
from bpu_common.model import StoredConstant
from bpu_common.network import Network, QConv, QLut
from bpu_common.params import ChannelParams
from bpu_common.perf import InferResult, PerfRequest
from bpu_common.program import Axis, LoadImage, Tile
from bpu_common.tensor import I8, AnyArray, TensorSpec
from bpu_common.wire.messages.arrays import arrays_field, inputs_field
from bpu_common.wire.messages.derive import Derivation
from bpu_common.wire.messages.record import Hook, Most, Spread, at_most

MAX_AXIS = 1 << 16
"""Positions on one axis of a resize."""
MAX_STORED_BYTES = 1 << 30
"""Of one array in a weights section."""


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


def _write_weights(op: QConv, message: Any) -> None:  # noqa: ANN401
    message.weights.shape.extend(op.weights.shape)


def _read_weights(message: Any) -> I8:  # noqa: ANN401
    return _without_content(message.weights.shape)


def _write_tables(op: QLut, message: Any) -> None:  # noqa: ANN401
    message.tables.shape.extend(op.tables.shape)


def _read_tables(message: Any) -> I8:  # noqa: ANN401
    return _without_content(message.tables.shape)


def _without_content(shape: Any) -> I8:  # noqa: ANN401
    """An array of a shape that takes no memory; what lies in the file is put in its place later."""
    if len(shape) > MAX_RANK or math.prod(shape) > MAX_STORED_BYTES:
        raise ModelFormatError(f"a stored array of shape {tuple(shape[: MAX_RANK + 1])}")
    return np.broadcast_to(np.int8(0), tuple(shape))


def _write_nothing(_owner: object, _message: object) -> None:
    """Arrays lie in sections of the file; where is set by who puts them there."""


def _read_no_params(_message: object) -> ChannelParams:
    return ChannelParams.from_bytes(b"", 0)


def _read_no_constants(_message: object) -> dict[str, AnyArray]:
    return {}


WIRE = Derivation(
    rules={
        Axis: {"low": Most(MAX_AXIS), "high": Most(MAX_AXIS), "frac": Most(MAX_AXIS)},
        BoardEvent: {"frame": Hook("frame", _write_frame, _read_frame)},
        StoredConstant: {"shape": Most(MAX_RANK)},
        InferRequest: {"inputs": inputs_field("inputs")},
        InferResult: {"outputs": arrays_field("outputs")},
        LoadImage: {
            "image": Spread(("offset_bytes", "height", "width", "stride_bytes", "input_type"))
        },
        Network: {"constants": Hook("constants", _write_nothing, _read_no_constants)},
        PerfRequest: {"inputs": inputs_field("inputs")},
        QConv: {
            "weights": Hook("weights", _write_weights, _read_weights),
            "params": Hook("params_offset_bytes", _write_nothing, _read_no_params),
        },
        QLut: {"tables": Hook("tables", _write_tables, _read_tables)},
        TensorSpec: {
            "shape": Most(MAX_RANK),
            "aligned_shape": Hook("aligned_shape", _write_aligned_shape, _read_aligned_shape),
        },
        Tile: {"shape_hwc": Spread(("height", "width", "channels"))},
    },
    # a newer daemon or board may know more than its caller
    fallbacks=(JobState.LOST, LinkState.DOWN, DeviceKind.UNKNOWN, Clock.UNKNOWN),
)
