"""from_pb(to_pb(x)) == x for generated values of everything that crosses the wire."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common import board as values
from bpu_common import load, perf, telemetry
from bpu_common import program as isa
from bpu_common.errors import InputError, ModelFormatError, UsageError
from bpu_common.frame import FrameInput, Roi
from bpu_common.model import NodeInfo
from bpu_common.tensor import DType, InputSource, InputType, Layout, ModelInput, TensorSpec
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import arrays, board
from bpu_common.wire.messages import load as load_messages
from bpu_common.wire.messages import perf as perf_messages
from bpu_common.wire.messages import program as program_messages
from bpu_common.wire.messages import telemetry as telemetry_messages
from bpu_common.wire.messages.tensors import (
    input_from_pb,
    input_to_pb,
    tensor_from_pb,
    tensor_to_pb,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
SMALL = st.integers(0, 1000)
NAME = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
REAL = st.floats(allow_nan=False)
NAMES = st.lists(NAME, max_size=3).map(tuple)
BYTE = st.integers(-128, 127)


def same(a: object, b: object) -> bool:
    """Equality that sees into arrays and NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)
        )
    return type(a) is type(b) and a == b


def pairs(low: int = 0, high: int = 70_000) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


DTYPES, LAYOUTS = st.sampled_from(DType), st.sampled_from(Layout)
SHAPES = st.lists(st.integers(0, 1 << 24), max_size=8).map(tuple)
TENSORS = st.builds(
    TensorSpec,
    NAME,
    SHAPES,
    DTYPES,
    LAYOUTS,
    SHAPES.filter(bool),
    st.lists(st.floats(), max_size=4).map(tuple),
    st.integers(-1, 7),
)
IMAGES = st.builds(
    ModelInput,
    TENSORS,
    st.sampled_from(InputType),
    LAYOUTS,
    st.sampled_from(InputSource),
    st.booleans(),
)

TILES = st.builds(
    isa.Tile,
    st.sampled_from(isa.Space),
    U64,
    st.tuples(U32, U32, U32),
    U64,
    U64,
    DTYPES,
)
QUADS = st.tuples(U32, U32, U32, U32)
AXES = st.lists(st.integers(0, 70_000), max_size=5).map(tuple)
AXIS = st.builds(isa.Axis, AXES, AXES, AXES)
HEAD = (U32, st.lists(U32, max_size=4).map(tuple))
REQUANT = st.builds(isa.Requant, st.integers(-(2**31), 2**31), SMALL, SMALL, SMALL)
CLAMP = st.tuples(BYTE, BYTE)
PICTURE = st.builds(isa.Image, U64, U32, U32, U32, st.sampled_from(InputType))
INSTRUCTIONS = st.one_of(
    st.builds(isa.Load, *HEAD, TILES, TILES),
    st.builds(isa.LoadImage, *HEAD, PICTURE, U32, TILES),
    st.builds(isa.LoadConst, *HEAD, U64, U64, U64),
    st.builds(isa.Store, *HEAD, TILES, TILES),
    st.builds(
        isa.Conv, *HEAD, TILES, TILES, U64, U64, pairs(), pairs(), pairs(), QUADS, U32, pairs(),
        CLAMP,
    ),
    st.builds(isa.MaxPool, *HEAD, TILES, TILES, pairs(), pairs(), QUADS),
    st.builds(
        isa.Eltwise, *HEAD, st.sampled_from(isa.EltwiseKind), TILES, st.none() | TILES, TILES,
        BYTE, BYTE, REQUANT, CLAMP,
    ),
    st.builds(isa.Lut, *HEAD, TILES, TILES, U64, U32),
    st.builds(isa.Resize, *HEAD, st.sampled_from(isa.ResizeMode), TILES, TILES, AXIS, AXIS),
    st.builds(isa.Move, *HEAD, TILES, TILES),
    st.builds(isa.Fill, *HEAD, TILES, BYTE),
)  # fmt: skip
SLOTS = st.lists(st.builds(isa.IoSlot, NAME, U64, U64), max_size=2).map(tuple)
CALLS = st.builds(isa.FunctionCall, NAME, st.lists(INSTRUCTIONS, max_size=3).map(tuple), U64)
PROGRAMS = st.builds(
    isa.Program, st.lists(CALLS, max_size=2).map(tuple), NAMES, SLOTS, SLOTS, U64, U64, U64
)


@given(INSTRUCTIONS)
@settings(max_examples=300)
def test_instruction(value: isa.Instruction) -> None:
    message = program_messages.instruction_to_pb(value)
    assert same(program_messages.instruction_from_pb(message), value)


@given(PROGRAMS)
def test_program(value: isa.Program) -> None:
    message = program_messages.program_to_pb(value)
    assert same(program_messages.program_from_pb(message), value)


@given(TENSORS)
def test_tensor(value: TensorSpec) -> None:
    assert same(tensor_from_pb(tensor_to_pb(value)), value)


@given(IMAGES)
def test_input(value: ModelInput) -> None:
    assert same(input_from_pb(input_to_pb(value)), value)


ARRAYS = st.dictionaries(
    NAME,
    st.builds(
        lambda dtype, shape, seed: (
            np.random.default_rng(seed)
            .integers(0, 256, (*shape, dtype.size_bytes), np.uint8)
            .view(dtype.numpy if dtype is not DType.BOOL else np.uint8)
            .reshape(shape)
            .copy()
        ),
        DTYPES.filter(lambda dtype: dtype is not DType.BOOL),
        st.lists(st.integers(0, 5), max_size=4).map(tuple),
        SMALL,
    ),
    max_size=3,
)


ROIS = st.none() | st.builds(Roi, U32, U32, U32, U32)
INPUTS = st.tuples(ARRAYS, st.lists(ROIS, min_size=9, max_size=9)).map(
    lambda pair: {
        name: FrameInput(array, roi)
        for (name, array), roi in zip(pair[0].items(), pair[1], strict=False)
    }
)


@given(ARRAYS)
def test_arrays(value: dict[str, np.ndarray]) -> None:
    message = pb.InferRequest()
    arrays.add_arrays(message.inputs, value)
    read = arrays.arrays_from_pb(message.inputs)
    assert same(read, value)
    assert not any(array.flags.writeable for array in read.values())


def test_arrays_that_lie() -> None:
    def tensor(**changes: object) -> pb.Tensor:
        return pb.Tensor(**{"name": "x", "shape": [2, 3], "data": bytes(6), **changes})

    for bad, says in (
        (tensor(data=bytes(5)), "5 bytes"),
        (tensor(shape=[2**31, 2**31]), "6 bytes"),
        (tensor(shape=[1] * 9), "dimensions"),
        (tensor(dtype=77), "element type 77"),
    ):
        with pytest.raises(InputError, match=says):
            arrays.arrays_from_pb([bad])
    with pytest.raises(InputError, match="one name"):
        arrays.arrays_from_pb([tensor(), tensor()])
    with pytest.raises(InputError, match="more than"):
        arrays.arrays_from_pb([tensor(name=str(index)) for index in range(300)])
    with pytest.raises(InputError, match="complex64"):
        arrays.add_arrays(pb.InferRequest().inputs, {"x": np.zeros(3, np.complex64)})


ENTRY = st.builds(values.ModelEntry, NAME, NAME, U64, st.booleans())
SEGMENT = st.builds(values.SegmentInfo, NAME, NAME, NAMES, NAMES, U64, U64, U32, U64)
NODE = st.builds(NodeInfo, NAME, NAME, st.integers(-1, 99), NAME, st.floats(), REAL, NAME, NAME)
INFO = st.builds(
    values.ModelInfo,
    NAME,
    NAME,
    NAME,
    st.lists(IMAGES, max_size=2).map(tuple),
    st.lists(TENSORS, max_size=2).map(tuple),
    st.lists(SEGMENT, max_size=2).map(tuple),
    st.lists(NODE, max_size=2).map(tuple),
    st.dictionaries(NAME, NAME, max_size=3),
)
BOOLS = (st.booleans(),) * 3
BOARD = st.builds(values.BoardInfo, NAME, U32, NAME, NAME, U32, U64, *BOOLS, U64, U64)
HEADER = st.builds(values.UploadHeader, NAME, U64, U64, st.booleans())
STATE = st.builds(values.UploadState, NAME, U64, st.booleans(), NAMES, NAMES)


@given(ENTRY, INFO, BOARD, HEADER, STATE)
def test_board(entry: object, info: object, about: object, header: object, state: object) -> None:
    assert same(board.entry_from_pb(board.entry_to_pb(entry)), entry)
    assert same(board.info_from_pb(board.info_to_pb(info)), info)
    assert same(board.capabilities_from_pb(board.capabilities_to_pb(about)), about)
    assert same(board.header_from_pb(board.header_to_pb(header)), header)
    assert same(board.state_from_pb(board.state_to_pb(state)), state)


def test_an_upload_out_of_order() -> None:
    header = board.header_to_pb(values.UploadHeader("0" * 64, 3))
    with pytest.raises(UsageError):
        board.header_from_pb(board.chunk_to_pb(b"abc"))
    for bad in (header, board.chunk_to_pb(b""), pb.DeployRequest()):
        with pytest.raises(UsageError):
            board.chunk_from_pb(bad)


STATS = st.dictionaries(NAME, st.builds(perf.TimeStat, REAL, U64, U64, U64), max_size=2)
RESULT = st.builds(
    perf.PerfResult,
    NAME, NAME, U32, U64, U32, U64, U64, U64, U64, U64, U64, U64,
    st.lists(U64, max_size=2).map(tuple), U64,
    st.none() | st.builds(perf.NodeProfile, STATS, STATS, STATS),
)  # fmt: skip
PROGRESS = st.builds(perf.PerfProgress, U64, U64, U64, REAL, U64, U64)
REQUEST = st.builds(
    perf.PerfRequest, NAME, st.integers(1, 2**64 - 1), U64, st.integers(1, 9), U32,
    st.integers(0, 255), st.booleans(), st.booleans(), INPUTS,
)  # fmt: skip
INFER = st.builds(values.InferRequest, NAME, INPUTS, U32, U32, st.integers(-(2**63), 2**63 - 1))
INFERRED = st.builds(perf.InferResult, NAME, U64, ARRAYS, U64, U64, U64, st.booleans())


@given(RESULT, PROGRESS, REQUEST, INFER, INFERRED)
@settings(deadline=None)
def test_perf(
    result: object, progress: object, request: object, infer: object, inferred: object
) -> None:
    messages = perf_messages
    assert same(messages.perf_result_from_pb(messages.perf_result_to_pb(result)), result)
    assert same(messages.progress_from_pb(messages.progress_to_pb(progress)), progress)
    assert same(messages.perf_request_from_pb(messages.perf_request_to_pb(request)), request)
    assert same(messages.infer_request_from_pb(messages.infer_request_to_pb(infer)), infer)
    assert same(messages.infer_result_from_pb(messages.infer_result_to_pb(inferred)), inferred)


LATENCY = st.builds(telemetry.LatencySample, U64, U64, U64, U64, U64)
MODEL = st.builds(
    telemetry.ModelSample, NAME, NAME, *[U64] * 9, LATENCY, U32, U32, U64, U64, U32, *[LATENCY] * 3
)
IDS = st.integers(-1, 2**62)
SLICE = st.builds(telemetry.CallSlice, U32, IDS, NAME, U32, NAME, U64, U64, IDS, st.booleans())
LINE = st.builds(telemetry.LogLine, U64, NAME, NAME)
CORE = st.builds(telemetry.CoreSample, U32, U64, U32, U64, U64, U64, IDS, NAME, IDS)
FRAME = st.builds(
    telemetry.TelemetryFrame,
    U64, NAME, U64, st.integers(-(2**63), 2**63 - 1), NAME,
    st.lists(MODEL, max_size=2).map(tuple),
    st.builds(telemetry.QueueSample, U32, U32, U32, U32),
    st.lists(CORE, max_size=2).map(tuple),
    st.builds(telemetry.SystemSample, U32, U32, U64, U64, U64),
    st.lists(SLICE, max_size=2).map(tuple), U64, st.lists(LINE, max_size=2).map(tuple),
    st.lists(st.tuples(NAME, st.integers(-300_000, 2**40)), max_size=2).map(tuple),
)  # fmt: skip


@given(FRAME)
def test_telemetry(frame: telemetry.TelemetryFrame) -> None:
    message = telemetry_messages.frame_to_pb(frame)
    assert same(telemetry_messages.frame_from_pb(message), frame)


LOAD_NAME = st.text(st.characters(categories=("L", "N")), max_size=12)
LOAD = st.builds(
    load.LoadRequest, NAME, LOAD_NAME, st.integers(1, 9), st.floats(0, 10_000), U32,
    st.integers(0, 255), U64,
)  # fmt: skip
LOAD_STATE = st.builds(load.LoadState, NAME, LOAD, U64, U64, U64, U64, U64)


@given(LOAD_STATE)
def test_loads(state: load.LoadState) -> None:
    message = load_messages.load_state_to_pb(state)
    assert same(load_messages.load_state_from_pb(message), state)


def test_unknown_enum_numbers_are_refused() -> None:
    message = tensor_to_pb(TensorSpec("x", (1,), DType.INT8))
    message.dtype = 99  # type: ignore[assignment]
    with pytest.raises(ModelFormatError, match="99"):
        tensor_from_pb(message)
