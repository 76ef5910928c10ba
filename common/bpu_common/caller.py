"""What a caller hands over for an input: said in words, and the one check of it."""

from __future__ import annotations

import math

import numpy as np

from bpu_common.errors import InputError
from bpu_common.tensor import AnyArray, DType, ModelInput


def canonical(array: AnyArray, target: ModelInput) -> AnyArray:
    """The array as `target` takes it: `caller_shape`, `caller_dtype`, C-contiguous.

    The element type must be the input's own; nothing is converted. Axes of length 1 do not count,
    so the batch of 1 may be left out: (64, 64, 3) is a 1x64x64x3 input. Values in one axis, in C
    order, fit any input (raw files). nv12 comes flat or in rows, (H * 3 / 2, W).

    Returns:
        A view of `array` where its memory allows, else a copy.

    Raises:
        InputError: it does not fit; the message names the input, what was found and what is wanted.
    """
    name, shape, wanted = target.tensor.name, target.caller_shape, target.caller_dtype
    if array.dtype != wanted.numpy:
        raise InputError(
            f"input {name!r} is {array.dtype}, {describe(target)} is wanted",
            hint=f"convert the array to {wanted.value} first",
        )
    forms = [shape, (math.prod(shape),)]
    if target.input_type.is_nv12:
        forms.append((target.height * 3 // 2, target.width))
    if _counting(array.shape) not in map(_counting, forms):
        raise InputError(
            f"input {name!r} has shape {array.shape} ({array.nbytes} bytes), "
            f"{describe(target)} is wanted",
            hint=size_hint(target),
        )
    return np.ascontiguousarray(array).reshape(shape)


def describe(target: ModelInput) -> str:
    """What an input wants, in words: `nv12 224x224 (75264 bytes of uint8)`."""
    size = f"{target.caller_size_bytes} bytes of {target.caller_dtype.value}"
    if target.input_type.is_nv12:
        return f"nv12 {target.width}x{target.height} ({size})"
    shape = "x".join(str(axis) for axis in target.caller_shape)
    layout = f" {target.layout.value}" if target.input_type.is_image else ""
    return f"{target.input_type.value}{layout} {shape} ({size})"


def size_hint(target: ModelInput) -> str:
    """The next step of someone whose array or file has another size."""
    if target.input_type.is_nv12:
        return "nv12 is the Y plane followed by interleaved UV at half size: width*height*3/2 bytes"
    if target.input_type.is_image:
        return "the picture must have the size of the model's input, without a file header"
    return "the array must have the shape of the model's input"


def random_values(random: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> AnyArray:
    """What stands in for a featuremap that nobody gives.

    Normal numbers, or either bool; integers are 1, which is valid as an index, a length, a count
    and a divisor in nearly every network.
    """
    kind = dtype.numpy
    if kind.kind == "f":
        return random.standard_normal(shape, np.float32).astype(kind, copy=False)
    if kind.kind == "b":
        return random.integers(0, 2, shape, np.uint8).astype(kind)
    return np.ones(shape, kind)


def _counting(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that count."""
    return tuple(size for size in shape if size != 1)
