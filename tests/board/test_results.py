"""What a caller does to the arrays of one result reaches no other result."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.frame import as_frame_inputs
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from tests.support.models_board import (
    HEIGHT,
    WIDTH,
    expected_codes,
    image_input,
    install,
    tiny_model,
)

DOORS = ("infer", "inspect", "exact", "perf")


@pytest.fixture(scope="module")
def make_runtime():
    made: list[Runtime] = []

    def make() -> Runtime:
        runtime = Runtime(SimDevice(X3M, threads=1))
        install(runtime, tiny_model(), tiny_model("classes", classify=True))
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.close()


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


def through(door: str, runtime: Runtime, model: str, raw: np.ndarray) -> list[np.ndarray]:
    """Every array that a door gives, other than views of the caller's own picture."""
    inputs = {"data": raw}
    if door == "infer":
        return list(runtime.infer(model, inputs).outputs.values())
    if door == "perf":
        runtime.perf(PerfRequest(model, frame_count=2, inputs=as_frame_inputs(inputs)))
        return []
    found = runtime.inspect(model, inputs, exact=door == "exact")
    arrays = [
        array for each in found for side in (each.inputs, each.outputs) for array in side.values()
    ]
    return [array for array in arrays if not np.shares_memory(array, raw)]


def spoil(array: np.ndarray) -> None:
    """All that in-place post-processing may do; a refusal is as good as a private copy."""
    with contextlib.suppress(ValueError):
        array -= array
    with contextlib.suppress(ValueError):
        array.sort(axis=-1)
    with contextlib.suppress(ValueError, AttributeError):
        array.shape = (array.size,)
    with contextlib.suppress(ValueError):
        array.flags.writeable = True
        array[...] = 1


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(DOORS), st.integers(0, 2), st.sampled_from(["tiny", "classes"])),
        min_size=2,
        max_size=8,
    )
)
@settings(deadline=None, max_examples=40)
def test_spoiling_what_one_call_gave_changes_no_other_call(make_runtime, steps):
    runtime = make_runtime()
    for door, seed, model in steps:
        raw = picture(seed)
        for array in through(door, runtime, model, raw):
            spoil(array)
        codes = runtime.infer("tiny", {"data": raw}).outputs["codes"]
        np.testing.assert_array_equal(codes, expected_codes(raw, image_input()))
        (inspected,) = runtime.inspect("tiny", {"data": raw})
        np.testing.assert_array_equal(inspected.outputs["codes"], codes)


def test_arrays_of_a_result_are_read_only(make_runtime):
    runtime = make_runtime()
    for door in ("infer", "inspect"):
        for array in through(door, runtime, "classes", picture(1)):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
