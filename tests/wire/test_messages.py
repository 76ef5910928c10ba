"""What is converted by hand: arrays, and the parts of an upload."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from bpu_common import board as values
from bpu_common.errors import InputError, UsageError
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import arrays, board
from tests.support.values_wire import ARRAYS, same


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
        (tensor(dtype=77), "DType 77"),
    ):
        with pytest.raises(InputError, match=says):
            arrays.arrays_from_pb([bad])
    with pytest.raises(InputError, match="one name"):
        arrays.arrays_from_pb([tensor(), tensor()])
    with pytest.raises(InputError, match="more than"):
        arrays.arrays_from_pb([tensor(name=str(index)) for index in range(300)])
    with pytest.raises(InputError, match="complex64"):
        arrays.add_arrays(pb.InferRequest().inputs, {"x": np.zeros(3, np.complex64)})


def test_an_upload_out_of_order() -> None:
    header = board.header_to_pb(values.UploadHeader("0" * 64, 3))
    with pytest.raises(UsageError):
        board.header_from_pb(board.chunk_to_pb(b"abc"))
    for bad in (header, board.chunk_to_pb(b""), pb.DeployRequest()):
        with pytest.raises(UsageError):
            board.chunk_from_pb(bad)
