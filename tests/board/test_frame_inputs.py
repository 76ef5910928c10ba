"""`FrameInput` at every door: arrays go through, regions of interest are held against the input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.errors import InputError, ModelFormatError
from bpu_common.frame import FrameInput, Roi, check_roi, parse_roi
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.tensor import InputSource, InputType
from bpu_common.wire.messages import inference
from tests.support.models_board import HEIGHT, WIDTH, image_input, install, tiny_model, with_inputs

ARRAY = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
RESIZER = replace(image_input(InputType.NV12), source=InputSource.RESIZER)
GOOD = Roi(2, 4, 129, 101)


@pytest.fixture
def runtime():
    made = Runtime(SimDevice(X3M))
    install(made, tiny_model())
    yield made
    made.close()


def test_a_frame_input_is_as_good_as_its_array(runtime):
    plain = runtime.infer("tiny", {"data": ARRAY}).outputs["codes"]
    framed = runtime.infer("tiny", {"data": FrameInput(ARRAY)}).outputs["codes"]
    np.testing.assert_array_equal(plain, framed)


def test_an_input_that_is_not_from_the_resizer_takes_no_region(runtime):
    inputs = {"data": FrameInput(ARRAY, GOOD)}
    for door in (
        lambda: runtime.submit("tiny", inputs),
        lambda: runtime.infer("tiny", inputs),
        lambda: runtime.inspect("tiny", inputs),
        lambda: runtime.perf(PerfRequest("tiny", inputs=inputs)),
    ):
        with pytest.raises(InputError, match="'data' of model tiny takes no region") as caught:
            door()
        assert caught.value.hint


def test_a_chip_without_resizer_refuses_the_model():
    model = with_inputs(tiny_model(), replace(image_input(), source=InputSource.RESIZER))
    with pytest.raises(ModelFormatError, match="resizer"):
        SimDevice(X3M).load(model)


@given(st.tuples(*[st.integers(-3, 300)] * 4))
def test_regions_of_a_resizer_input_follow_the_rule(ends):
    left, top, right, bottom = ends
    columns, rows = range(left, right + 1), range(top, bottom + 1)
    allowed = min(ends) >= 0 and all(
        len(axis) in range(16, 256) and axis[0] % 2 == 0 and axis[-1] % 2 == 1
        for axis in (columns, rows)
    )
    try:
        check_roi("net", RESIZER, Roi(*ends))
        taken = True
    except InputError:
        taken = False
    assert taken == allowed


def test_a_resizer_input_needs_a_region():
    check_roi("net", RESIZER, GOOD)
    with pytest.raises(InputError, match="needs a region"):
        check_roi("net", RESIZER, None)


@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 4))
def test_a_region_in_words(ends):
    assert parse_roi(", ".join(map(str, ends)), "here") == Roi(*ends)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,2,3,4", "1.5,2,3,4"])
def test_words_that_are_no_region(text):
    with pytest.raises(InputError, match="left,top,right,bottom") as caught:
        parse_roi(text, "--roi")
    assert caught.value.where == "--roi"


def test_the_open_inference_protocol_carries_a_region():
    request = inference.message("ModelInferRequest")(model_name="tiny")
    tensor = request.inputs.add(name="data", datatype="UINT8", shape=ARRAY.shape)
    request.raw_input_contents.append(ARRAY.tobytes())
    assert inference.request_from_pb(request).request.inputs["data"].roi is None
    tensor.parameters["roi"].string_param = "2,4,129,101"
    assert inference.request_from_pb(request).request.inputs["data"].roi == GOOD
    tensor.parameters["roi"].string_param = "somewhere"
    with pytest.raises(InputError, match="tensor 'data'"):
        inference.request_from_pb(request)
