"""Files that a model is run on: the first byte chooses input and ending, the rest is the file."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bpu_common.input_files import read_input
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from tests.fuzz_targets.target import Harm, Target
from tests.hostile.changes import TEXT, change_bytes, change_text
from tests.support.models_board import image_input

_TARGETS = (
    image_input(),
    image_input(InputType.NV12),
    ModelInput(TensorSpec("x", (1, 8), DType.FLOAT32), InputType.FEATUREMAP, Layout.NONE),
    ModelInput(TensorSpec("n", (2,), DType.INT64), InputType.FEATUREMAP, Layout.NONE),
)
_ENDINGS = (".npy", ".txt", ".bin", ".nv12")
_WORDS = (*TEXT, "nan", "1e999", "inf", "-0", "0x10", "1_000", "٣", "1,2,,3", "9" * 400)


@cache
def seeds() -> Sequence[bytes]:
    """A right file for each input and ending."""
    made = []
    for index, target in enumerate(_TARGETS):
        values = np.zeros(target.caller_shape, target.caller_dtype.numpy)
        packed = io.BytesIO()
        np.save(packed, values)
        contents = (packed.getvalue(), b"1 2,3 4.5 -6e2 7 8 9", values.tobytes(), values.tobytes())
        made += [bytes([index + 4 * at]) + each for at, each in enumerate(contents)]
    return made


def change(source: random.Random, data: bytes) -> bytes:
    """Another file."""
    head, rest = data[:1] or b"\0", data[1:]
    if head[0] // 4 % 4 == 1:
        text = rest.decode(errors="replace").replace(" ", "\n")
        return head + change_text(source, text, _WORDS).encode()
    return head + change_bytes(source, rest)


def run(data: bytes, folder: Path) -> None:
    """Read it as the input's array."""
    head = data[0] if data else 0
    target = _TARGETS[head % 4]
    path = folder / f"input{_ENDINGS[head // 4 % 4]}"
    path.write_bytes(data[1:])
    array = read_input(path, target)
    if array.shape != target.caller_shape or array.dtype != target.caller_dtype.numpy:
        raise Harm(f"input_files.py:read_input: {array.dtype} {array.shape}")


TARGET = Target("input_files", seeds, run, change)
