"""Checks a caller's arrays and files against a model before anything is queued."""

from __future__ import annotations

import numpy as np

from bpu_common.board import ModelInfo
from bpu_common.errors import InputError
from bpu_common.frame import FrameInput, Given, as_frame_inputs, check_roi
from bpu_common.tensor import AnyArray, InputType, ModelInput


def check_inputs(model: ModelInfo, inputs: Given) -> dict[str, FrameInput]:
    """All inputs, arrays C-contiguous, in `ModelInput.caller_shape` and caller dtype.

    A flat array of the right size and type is accepted for any shape (raw image bytes).

    Raises:
        InputError: a name is missing or unknown, a shape, type or size does not fit, or a region of
            interest does not (`check_roi`).
    """
    known = {each.tensor.name: each for each in model.inputs}
    unknown = [name for name in inputs if name not in known]
    if unknown:
        raise InputError(
            f"model {model.name} has no input {unknown[0]!r}",
            hint=f"its inputs are: {', '.join(known)}",
        )
    missing = [name for name in known if name not in inputs]
    if missing:
        raise InputError(
            f"input {missing[0]!r} of model {model.name} is not given",
            hint=f"give {len(known)} array(s): {', '.join(known)}",
        )
    given, checked = as_frame_inputs(inputs), {}
    for name, spec in known.items():
        array = check_array(model.name, spec, given[name].array)
        check_roi(model.name, spec, given[name].roi)
        checked[name] = FrameInput(array, given[name].roi)
    return checked


def check_array(model: str, spec: ModelInput, array: AnyArray) -> AnyArray:
    """One array in the caller's shape of its input.

    Raises:
        InputError: it does not fit; the message says what was found and what is wanted.
    """
    name, wanted = spec.tensor.name, spec.caller_dtype
    if array.dtype != wanted.numpy:
        raise InputError(
            f"input {name!r} of model {model} is {array.dtype}, {describe(spec)} is wanted",
            hint=f"convert the array to {wanted.value} first",
        )
    if array.size * array.itemsize != spec.caller_size_bytes:
        raise InputError(
            f"input {name!r} of model {model} holds {array.nbytes} bytes of shape "
            f"{tuple(array.shape)}, {describe(spec)} is wanted",
            hint=_size_hint(spec),
        )
    if tuple(array.shape) != spec.caller_shape:
        if array.ndim != 1 and spec.input_type is not InputType.NV12:
            raise InputError(
                f"input {name!r} of model {model} has shape {tuple(array.shape)}, "
                f"{describe(spec)} is wanted",
                hint=_size_hint(spec),
            )
        array = array.reshape(spec.caller_shape)
    return np.ascontiguousarray(array)


def from_bytes(model: str, spec: ModelInput, data: bytes | memoryview) -> AnyArray:
    """Raw bytes (the content of a .bin input file) as an array, not copied.

    Raises:
        InputError: the number of bytes is wrong.
    """
    if len(data) != spec.caller_size_bytes:
        raise InputError(
            f"input {spec.tensor.name!r} of model {model} got {len(data)} bytes, "
            f"{describe(spec)} is wanted",
            hint=_size_hint(spec),
        )
    return np.frombuffer(data, spec.caller_dtype.numpy).reshape(spec.caller_shape)


def random_inputs(model: ModelInfo, seed: int = 0) -> dict[str, AnyArray]:
    """Random arrays for every input (what `perf` runs on when no file is given)."""
    generator = np.random.default_rng(seed)
    made: dict[str, AnyArray] = {}
    for each in model.inputs:
        if each.input_type.is_image:
            made[each.tensor.name] = generator.integers(0, 256, each.caller_shape, np.uint8)
        else:
            made[each.tensor.name] = generator.standard_normal(each.caller_shape, np.float32)
    return made


def describe(spec: ModelInput) -> str:
    """What an input wants, in words: `nv12 224x224 (75264 bytes of uint8)`."""
    size = f"{spec.caller_size_bytes} bytes of {spec.caller_dtype.value}"
    if spec.input_type is InputType.NV12:
        return f"nv12 {spec.width}x{spec.height} ({size})"
    shape = "x".join(str(axis) for axis in spec.caller_shape)
    layout = f" {spec.layout.value}" if spec.input_type.is_image else ""
    return f"{spec.input_type.value}{layout} {shape} ({size})"


def _size_hint(spec: ModelInput) -> str:
    if spec.input_type is InputType.NV12:
        return "nv12 is the Y plane followed by interleaved UV at half size: width*height*3/2 bytes"
    if spec.input_type.is_image:
        return "the picture must have the size of the model's input, without a file header"
    return "the array must have the shape of the model's input"
