"""The arrays of one frame: a caller's, checked before anything is queued, or random ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpu_common.caller import canonical
from bpu_common.errors import InputError
from bpu_common.model import BpuModel
from bpu_common.tensor import AnyArray


def check_inputs(model: BpuModel, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays of all inputs in their canonical form (`bpu_common.caller`).

    Raises:
        InputError: a name is missing or unknown, or an array does not fit.
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
    try:
        return {name: canonical(inputs[name], target) for name, target in known.items()}
    except InputError as error:
        raise InputError(error.message, where=f"model {model.name}", hint=error.hint) from None


def random_inputs(model: BpuModel, seed: int = 0) -> dict[str, AnyArray]:
    """Random arrays for every input (what `perf` runs on when no file is given)."""
    generator = np.random.default_rng(seed)
    made: dict[str, AnyArray] = {}
    for each in model.inputs:
        if each.input_type.is_image:
            made[each.tensor.name] = generator.integers(0, 256, each.caller_shape, np.uint8)
        else:
            made[each.tensor.name] = generator.standard_normal(each.caller_shape, np.float32)
    return made
