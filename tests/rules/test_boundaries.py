"""Every limit on both sides of its boundary; a limit or a rule without a case here fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from bpu_common import limits
from bpu_common.errors import ConfigError, ModelFormatError
from bpu_common.limits import Range
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, ResizeMode
from bpu_host.compiler.place import EmitOptions
from bpu_host.compiler.rules.limits import RULES
from bpu_host.compiler.rules.placement import own_verdicts, place
from bpu_host.compiler.units import Unit, recognise
from bpu_host.compiler.units.work import (
    AddWork,
    ConcatWork,
    ConvWork,
    DepthSpaceWork,
    LutWork,
    MaxPoolWork,
    ResizeWork,
    Work,
)
from tests.support.nets_quant import Net

Shape = tuple[int, int, int]
MAP: Shape = (32, 32, 8)


def unit(op: str, work: Work, *xs: Shape, y: Shape = MAP) -> Unit:
    node = ir.node(op, [ir.Value(name="x")], name="n")
    names = tuple(f"x{index}" for index in range(len(xs)))
    return Unit("n", work, (node,), names, xs, "y", y)


def conv(
    kernel: tuple[int, int] = (1, 1), into: int = 8, out: int = 8, x: Shape = MAP, **more: object
) -> Unit:
    work = ConvWork(np.zeros((out, *kernel, into), np.float32), np.zeros(out), **more)  # type: ignore[arg-type]
    return unit("Conv", work, x)


def full(height: int, width: int, channels: int = 4, out: int = 4) -> Unit:
    """A kernel as large as its map."""
    return conv((height, width), channels, out, (height, width, channels))


def deconv(
    kernel: tuple[int, int] = (4, 4),
    out: int = 8,
    upsample: tuple[int, int] = (2, 2),
    **more: object,
) -> Unit:
    weights = np.zeros((out, *kernel, 8), np.float32)
    work = ConvWork(weights, np.zeros(out), upsample_hw=upsample, **more)  # type: ignore[arg-type]
    return unit("ConvTranspose", work, MAP)


def average(kernel: tuple[int, int] = (2, 2), stride: tuple[int, int] = (1, 1)) -> Unit:
    work = ConvWork(np.zeros((8, *kernel, 1)), np.zeros(8), stride, high_precision=False)
    return unit("AveragePool", work, MAP)


def maximum(kernel: tuple[int, int] = (2, 2), stride: tuple[int, int] = (1, 1)) -> Unit:
    return unit("MaxPool", MaxPoolWork(kernel, stride, (0, 0, 0, 0)), MAP)


def add(second: Shape, y: Shape = MAP) -> Unit:
    return unit("Add", AddWork(), y, second, y=y)


def look_up(x: Shape) -> Unit:
    return unit("Sigmoid", LutWork((np.tanh,)), x, y=x)


def resize(y: Shape, mode: ResizeMode = ResizeMode.NEAREST) -> Unit:
    axis = Axis((0,), (0,), (0,))
    return unit("Resize", ResizeWork(mode, axis, axis), MAP, y=y)


def blocks(block: int) -> Unit:
    return unit("DepthToSpace", DepthSpaceWork(block, True, True, "DepthToSpace"), MAP)


def concat(channels: int) -> Unit:
    return unit("Concat", ConcatWork(2), MAP, MAP, y=(4, 4, channels))


def global_maximum(height: int, width: int) -> Unit:
    work = MaxPoolWork((1, 1), (1, 1), (0, 0, 0, 0))
    return unit("GlobalMaxPool", work, (height, width, 8), y=(1, 1, 8))


UNITS: dict[str, list[Callable[[int], Unit]]] = {
    "CONV_KERNEL": [lambda n: conv((n, 1)), lambda n: conv((1, n))],
    "CONV_CHANNELS": [
        lambda n: conv(out=2 * n, groups=2),
        lambda n: conv(into=n, groups=2),
        lambda n: conv(out=n, dilation_hw=(1, 2)),
    ],
    "CONV_CHANNELS_PLAIN": [lambda n: conv(out=n), lambda n: conv(into=n)],
    "CONV_CHANNELS_POINT": [lambda n: conv(into=n, x=(1, 1, n))],
    "CONV_AREA": [lambda n: conv((1, 1), n, x=(1, 1, n)) if n < 9 else conv((4, 4), -(-n // 16))],
    "FULL_KERNEL": [lambda n: full(n, 3), lambda n: full(3, n)],
    "FULL_POSITIONS": [lambda n: full(*{1: (1, 1), 127: (9, 14), 128: (8, 16)}[n])],
    "FULL_CHANNELS": [lambda n: full(1, 8, n), lambda n: full(8, 1, 4, n)],
    "FULL_BLOCKS_INT32": [
        lambda n: full(*{1: (1, 8, 4), 2047: (23, 1, 356), 2048: (16, 1, 512)}[n])
    ],
    "DECONV_KERNEL": [lambda n: deconv((n, 4)), lambda n: deconv((4, n))],
    "DECONV_CHANNELS": [lambda n: deconv(out=n), lambda n: deconv(out=2 * n, groups=2)],
    "AVERAGE_POOL_KERNEL": [lambda n: average((n, 1)), lambda n: average((1, n))],
    "MAX_POOL_KERNEL": [lambda n: maximum((n, 1)), lambda n: maximum((1, n))],
    "POOL_STRIDE": [
        lambda n: average(stride=(n, 1)),
        lambda n: average(stride=(1, n)),
        lambda n: maximum(stride=(n, 1)),
        lambda n: maximum(stride=(1, n)),
    ],
    "GLOBAL_MAX_SIDE": [lambda n: global_maximum(n, 1), lambda n: global_maximum(1, n)],
    "ELTWISE_CHANNELS": [lambda n: add((4, 4, n), (4, 4, n))],
    "CONCAT_CHANNELS": [concat],
    "LUT_VALUES": [lambda n: look_up((-(-n // 32), 1, 32)), lambda n: look_up((1, -(-n // 4), 4))],
}
"""By limit: units for which its figure is the argument."""


def broken(item: Unit) -> str:
    """The first rule that a unit breaks, empty if it keeps them all."""
    return next((rule.id for rule in RULES if rule.found(item) is not None), "")


EDGES = [
    pytest.param(build, getattr(limits, name), id=f"{name}-{index}")
    for name, builds in UNITS.items()
    for index, build in enumerate(builds)
]
PAIRS: list[tuple[str, Unit, Unit]] = [
    ("CONV-AREA", conv((4, 4), 2048), conv((4, 4), 2049)),
    ("CONV-AREA", conv((7, 7), 668), conv((7, 7), 669)),
    ("CONV-DILATION", conv(dilation_hw=(4, 4)), conv(dilation_hw=(4, 5))),
    ("CONV-DILATION", conv(dilation_hw=(2, 4)), conv(dilation_hw=(4, 2))),
    (
        "CONV-DILATION",
        conv(dilation_hw=(4, 4), stride_hw=(4, 4)),
        conv(dilation_hw=(4, 4), stride_hw=(8, 4)),
    ),
    ("DECONV", deconv(upsample=(4, 4)), deconv(upsample=(3, 4))),
    ("DECONV", deconv(upsample=(2, 4)), deconv(upsample=(4, 2))),
    ("DECONV", deconv(dilation_hw=(1, 1)), deconv(dilation_hw=(1, 2))),
    ("DECONV", deconv(cut_tlbr=(1, 1, 1, 1)), deconv(cut_tlbr=(1, 1, 2, 1))),
    ("DECONV", deconv((5, 5), cut_tlbr=(2, 2, 2, 2)), deconv((5, 5), cut_tlbr=(2, 3, 2, 2))),
    ("ADD-SCALAR", add((1, 1, 8)), add((1, 1, 1))),
    ("LUT", look_up((32, 32, 8)), look_up((32, 32, 9))),
    ("LUT", look_up((1, 2048, 4)), look_up((1, 2049, 4))),
    ("LUT", look_up((256, 1, 32)), look_up((256, 1, 33))),
    ("BLOCKS", blocks(2), blocks(1)),
    ("BLOCKS", blocks(2), blocks(3)),
    ("RESIZE", resize((64, 64, 8)), resize((96, 96, 8))),
    ("RESIZE", resize((32, 64, 8)), resize((64, 32, 8))),
    ("RESIZE", resize((31, 33, 8)), resize((32, 33, 8))),
    ("RESIZE", resize((96, 96, 8), ResizeMode.BILINEAR), resize((96, 96, 8))),
]  # fmt: skip
"""(rule, unit that keeps all rules, unit one step beyond)."""


@pytest.mark.parametrize(("build", "allowed"), EDGES)
def test_both_ends_of_a_range(build: Callable[[int], Unit], allowed: Range) -> None:
    assert broken(build(allowed.low)) == broken(build(allowed.high)) == ""
    assert broken(build(allowed.high + 1))
    if allowed.low > 1:
        assert broken(build(allowed.low - 1))


@pytest.mark.parametrize(("rule", "inside", "beyond"), PAIRS)
def test_both_sides_of_a_condition(rule: str, inside: Unit, beyond: Unit) -> None:
    assert broken(inside) == ""
    assert broken(beyond) == rule


def global_average(positions: int) -> bool:
    """8193 is 3 x 2731: no chain of small windows covers it."""
    net = Net(1, 1, 1, positions)
    y = net.node("GlobalAveragePool", [net.conv("data", 1, 1, 1)])
    plan = recognise(net.model(net.conv(y, 1, 1, 1)), ())
    units = plan.units.get("GlobalAveragePool_1", ())
    return len(units) == 1 and own_verdicts(plan)["GlobalAveragePool_1"].on_bpu


def read_on_the_bpu(blocks: int) -> bool:
    """Whether a fully connected layer of so many blocks may have an int8 result."""
    height, channels = {1: (8, 4), 1024: (16, 256), 1025: (25, 164)}[blocks]
    net = Net(1, channels, height, 1)
    weights = net.constant(np.ones((4, channels, height, 1), np.float32))
    y = net.node("Conv", ["data", weights], kernel_shape=[height, 1])
    model = net.model(net.conv(y, 4, 4, 1))
    return place(recognise(model, ())).verdicts["Conv_0"].on_bpu


def shifts(**given: int) -> bool:
    """Whether a parameter table with these shifts is read."""
    zeros = dict.fromkeys(("bias_q", "bias_shift", "right_shift", "multiplier", "out_shift"), 0)
    arrays = {name: np.array([value]) for name, value in {**zeros, **given}.items()}
    try:
        ChannelParams.from_bytes(ChannelParams(**arrays).to_bytes(), 1)
    except ModelFormatError:
        return False
    return True


OTHERS: dict[str, Callable[[int], bool]] = {
    "GLOBAL_AVERAGE_POSITIONS": global_average,
    "FULL_BLOCKS_INT8": read_on_the_bpu,
    "RIGHT_SHIFT": lambda n: shifts(right_shift=n),
    "OUT_SHIFT": lambda n: shifts(out_shift=n),
    "BIAS_SHIFT": lambda n: shifts(bias_shift=n),
}
"""Ranges that are no rule's: whether a value is taken."""


@pytest.mark.parametrize("name", OTHERS)
def test_both_ends_of_other_ranges(name: str) -> None:
    allowed: Range = getattr(limits, name)
    assert OTHERS[name](allowed.low)
    assert OTHERS[name](allowed.high)
    assert not OTHERS[name](allowed.high + 1)


def test_the_shortest_function_call() -> None:
    assert EmitOptions(max_time_per_fc_us=limits.LEAST_CALL_US).max_time_per_fc_us == 1000
    with pytest.raises(ConfigError):
        EmitOptions(max_time_per_fc_us=limits.LEAST_CALL_US - 1)


def test_nothing_is_left_out() -> None:
    ranges = {name for name, value in vars(limits).items() if isinstance(value, Range)}
    assert ranges == {*UNITS, *OTHERS}
    reached = {broken(edge.values[0](edge.values[1].high + 1)) for edge in EDGES}
    assert reached | {rule for rule, _, _ in PAIRS} == {rule.id for rule in RULES}
