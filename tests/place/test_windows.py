"""Which outputs see padding only, against every window looked at one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bpu_common.network import QConv, QMaxPool, bpu_tensor
from bpu_common.network.rules import window_extent, windows
from bpu_common.params import ChannelParams
from bpu_common.tensor import Scale
from bpu_host.compiler.place.memory import Box
from bpu_host.compiler.place.windows import always_sees_input, input_needs

PAIR = st.tuples(st.integers(1, 4), st.integers(1, 4))


def convolution(kernel: tuple[int, int], **more: object) -> QConv:
    weights = np.zeros((1, *kernel, 1), np.int8)
    none = np.zeros(1, np.int32)
    params = ChannelParams(none, none, none, none, none)
    return QConv("op", "x", "y", weights, params, clamp=(-128, 127), **more)  # type: ignore[arg-type]


@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=PAIR,
    stride=PAIR,
    dilation=PAIR,
    upsample=st.sampled_from([(1, 1), (1, 2), (3, 1)]),
    pads=st.tuples(*[st.integers(0, 6)] * 4),
    pool=st.booleans(),
)
@settings(deadline=None)
def test_an_operation_that_always_sees_input_does(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    upsample: tuple[int, int],
    pads: tuple[int, int, int, int],
    pool: bool,
) -> None:
    if pool:
        dilation = upsample = (1, 1)
        op: QConv | QMaxPool = QMaxPool("op", "x", "y", kernel, stride, pads)
    else:
        op = convolution(
            kernel,
            stride_hw=stride,
            dilation_hw=dilation,
            pads_tlbr=pads,
            groups=1,
            upsample_hw=upsample,
        )
    extent = window_extent(kernel, dilation)
    spread = ((size[0] - 1) * upsample[0] + 1, (size[1] - 1) * upsample[1] + 1)
    height, width = windows(spread, extent, stride, pads)
    assume(height > 0 and width > 0)
    tensors = {
        "x": bpu_tensor("x", (*size, 1), Scale.per_tensor(1.0)),
        "y": bpu_tensor("y", (height, width, 1), Scale.per_tensor(1.0)),
    }
    empty = [
        input_needs(op, Box((i, i + 1), (j, j + 1), (0, 1)), tensors)[0].empty
        for i in range(height)
        for j in range(width)
    ]
    if always_sees_input(op):
        assert not any(empty)
    elif upsample == (1, 1):  # it says so of no more than it must
        within = all(stride[a] > 1 or max(pads[a], pads[a + 2]) < extent[a] for a in (0, 1))
        assert not within
