"""The arrays of one frame: a caller's, checked before anything is queued, or random ones."""

from __future__ import annotations

import numpy as np

from bpu_common.board import ModelInfo
from bpu_common.caller import canonical, random_values
from bpu_common.errors import InputError
from bpu_common.frame import FrameInput, Given, as_frame_inputs, check_roi
from bpu_common.tensor import AnyArray


def check_inputs(model: ModelInfo, inputs: Given) -> dict[str, FrameInput]:
    """All inputs, arrays in their canonical form (`bpu_common.caller`).

    Raises:
        InputError: a name is missing or unknown, an array does not fit, or a region of
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
    try:
        for name, target in known.items():
            array = canonical(given[name].array, target)
            check_roi(model.name, target, given[name].roi)
            checked[name] = FrameInput(array, given[name].roi)
    except InputError as error:
        raise InputError(error.message, where=f"model {model.name}", hint=error.hint) from None
    return checked


def random_inputs(model: ModelInfo, seed: int = 0) -> dict[str, AnyArray]:
    """Random arrays for every input (what `perf` runs on when no file is given)."""
    generator = np.random.default_rng(seed)
    made: dict[str, AnyArray] = {}
    for each in model.inputs:
        if each.input_type.is_image:
            made[each.tensor.name] = generator.integers(0, 256, each.caller_shape, np.uint8)
        else:
            made[each.tensor.name] = random_values(generator, each.caller_shape, each.caller_dtype)
    return made
