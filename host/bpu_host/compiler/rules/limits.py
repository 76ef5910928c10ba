"""The rules of the BPU about sizes, tested on typed units; the figures are `bpu_common.limits`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TypeAlias, TypeVar

from bpu_common import limits
from bpu_common.limits import Range
from bpu_common.program import ResizeMode
from bpu_common.tensor import align_up
from bpu_host.compiler.rules.rule import Rule
from bpu_host.compiler.units import LOOK_UPS, Unit
from bpu_host.compiler.units.work import (
    AddWork,
    ConvWork,
    DepthSpaceWork,
    LutWork,
    MaxPoolWork,
    MulWork,
    ResizeWork,
)

W = TypeVar("W")

LOOK_UP_RULE = "LUT"
"""The rule about the size of look-ups: what breaks it may be one look-up on the CPU."""


Test: TypeAlias = Callable[[Unit], str | None]


def _about(kind: type[W]) -> Callable[[Callable[[Unit, W], str | None]], Test]:
    """A test of units with work of one kind; others keep the rule."""

    def decorate(test: Callable[[Unit, W], str | None]) -> Test:
        @wraps(test)
        def of_unit(unit: Unit) -> str | None:
            return test(unit, unit.work) if isinstance(unit.work, kind) else None

        return of_unit

    return decorate


def _ranges(what: str, ranges: Sequence[Range], found: Sequence[int]) -> str | None:
    """The chapter's sentence when a value lies outside its range."""
    if all(value in allowed for allowed, value in zip(ranges, found, strict=True)):
        return None
    expected = ",".join(str(allowed) for allowed in ranges)
    data = ",".join(str(value) for value in found)
    return f"Expected data shape range of {what} is [{expected}], but the data shape is [{data}]"


@_about(ConvWork)
def _conv_kernel(unit: Unit, work: ConvWork) -> str | None:
    if unit.covers_map:
        return _full_window(unit, work)
    channels, height, width, depth = work.weights.shape
    plain = work.groups == 1 and work.dilation_hw == (1, 1)
    allowed = limits.CONV_CHANNELS_PLAIN if plain else limits.CONV_CHANNELS
    point = plain and unit.x_shapes[0][:2] == (1, 1)
    deep = limits.CONV_CHANNELS_POINT if point else allowed
    ranges = [allowed, limits.CONV_KERNEL, limits.CONV_KERNEL, deep]
    return _ranges("Kernel shape", ranges, [channels // work.groups, height, width, depth])


def _full_window(unit: Unit, work: ConvWork) -> str | None:
    channels, height, width, depth = work.weights.shape
    ranges = [limits.FULL_CHANNELS, limits.FULL_KERNEL, limits.FULL_KERNEL, limits.FULL_CHANNELS]
    problem = _ranges("Kernel shape", ranges, [channels, height, width, depth])
    problem = problem or _ranges("H x W", [limits.FULL_POSITIONS], [height * width])
    blocks = limits.full_blocks(*unit.x_shapes[0])
    return problem or _ranges("H x ceil(W/8) x ceil(C/4)", [limits.FULL_BLOCKS_INT32], [blocks])


@_about(ConvWork)
def _conv_area(unit: Unit, work: ConvWork) -> str | None:
    if unit.covers_map:
        return None
    area = work.weights[0].size
    if area in limits.CONV_AREA:
        return None
    return (
        f"one kernel has {area} values (height x width x channels); the limit is "
        f"{limits.CONV_AREA.high}"
    )


@_about(ConvWork)
def _conv_dilation(_: Unit, work: ConvWork) -> str | None:
    dilation = work.dilation_hw
    if dilation == (1, 1):
        return None
    for size, step in zip(dilation, work.stride_hw, strict=True):
        if size & (size - 1) or (size > 1 and size % step):
            return f"dilation {size} is not a power of two that stride {step} divides"
    if dilation[0] > dilation[1]:
        return f"dilation {dilation[0]} of height is above {dilation[1]} of width"
    return None


@_about(ConvWork)
def _transposed(_: Unit, work: ConvWork) -> str | None:
    channels, height, width, depth = work.weights.shape
    ranges = [limits.DECONV_CHANNELS, limits.DECONV_KERNEL, limits.DECONV_KERNEL,
              limits.DECONV_CHANNELS]  # fmt: skip
    found = [channels // work.groups, height, width, depth]
    if problem := _ranges("Kernel shape", ranges, found):
        return problem
    stride = work.upsample_hw
    if not set(stride) <= set(limits.DECONV_STRIDES) or stride[0] > stride[1]:
        return f"strides {list(stride)}; they must be 2 or 4, height not above width"
    if work.dilation_hw != (1, 1):
        return f"dilations {list(work.dilation_hw)}; they must be 1"
    most = [(size - 1) // 2 for size in work.kernel_hw * 2]
    if any(cut > limit for cut, limit in zip(work.cut_tlbr, most, strict=True)):
        return f"pads {list(work.cut_tlbr)}; each must be at most (kernel - 1) / 2"
    return None


@_about(ConvWork)
def _average_pool(_: Unit, work: ConvWork) -> str | None:
    kernels = [limits.AVERAGE_POOL_KERNEL] * 2
    problem = _ranges("Kernel shape", kernels, work.kernel_hw)
    return problem or _ranges("strides", [limits.POOL_STRIDE] * 2, work.stride_hw)


@_about(MaxPoolWork)
def _max_pool(_: Unit, work: MaxPoolWork) -> str | None:
    problem = _ranges("Kernel shape", [limits.MAX_POOL_KERNEL] * 2, work.kernel_hw)
    return problem or _ranges("strides", [limits.POOL_STRIDE] * 2, work.stride_hw)


@_about(MaxPoolWork)
def _global_maximum(unit: Unit, _: MaxPoolWork) -> str | None:
    return _ranges("H x W", [limits.GLOBAL_MAX_SIDE] * 2, unit.x_shapes[0][:2])


def _lut_values(unit: Unit) -> int:
    height, width, channels = unit.x_shapes[0]
    both = align_up(width, limits.LUT_WIDTH_ALIGN) * align_up(channels, limits.LUT_CHANNEL_ALIGN)
    alone = width * align_up(channels, limits.LUT_CHANNEL_ALIGN_ALONE)
    return height * min(both, alone)


@_about(LutWork)
def _lut(unit: Unit, _: LutWork) -> str | None:
    if (size := _lut_values(unit)) in limits.LUT_VALUES:
        return None
    return f"look-up of {size} values (padded C x H x W); the limit is {limits.LUT_VALUES.high}"


def _eltwise_channels(unit: Unit) -> str | None:
    if not isinstance(unit.work, (AddWork, MulWork)):
        return None
    return _ranges("channels", [limits.ELTWISE_CHANNELS], [unit.y_shape[2]])


@_about(AddWork)
def _add_scalar(unit: Unit, _: AddWork) -> str | None:
    if (1, 1, 1) in unit.x_shapes and unit.y_shape != (1, 1, 1):
        return "a single value is added to a map; only 1xCx1x1 may be"
    return None


def _concat(unit: Unit) -> str | None:
    return _ranges("channels", [limits.CONCAT_CHANNELS], [unit.y_shape[2]])


@_about(DepthSpaceWork)
def _blocks(_: Unit, work: DepthSpaceWork) -> str | None:
    if work.block == limits.BLOCK_SIZE:
        return None
    return f"block size {work.block}; it must be {limits.BLOCK_SIZE}"


@_about(ResizeWork)
def _resize(unit: Unit, work: ResizeWork) -> str | None:
    x, y = unit.x_shapes[0], unit.y_shape
    if work.mode is not ResizeMode.NEAREST or y[0] < x[0] or y[1] < x[1]:
        return None
    factors = [divmod(y[axis], x[axis]) for axis in (0, 1)]
    if any(rest or factor & (factor - 1) for factor, rest in factors) or (
        factors[0][0] > factors[1][0]
    ):
        return (
            f"nearest from {x[0]}x{x[1]} to {y[0]}x{y[1]}; factors must be powers of two, height "
            "not above width"
        )
    return None


RULES: tuple[Rule, ...] = (
    Rule("CONV-KERNEL", ("Conv",),
         f"Kernel height and width {limits.CONV_KERNEL.low} to {limits.CONV_KERNEL.high}; channels "
         f"per group up to {limits.CONV_CHANNELS.high} ({limits.CONV_CHANNELS_PLAIN.high} when "
         f"neither dilated nor grouped; {limits.CONV_CHANNELS_POINT.high} input channels on a 1x1 "
         "map). A kernel as large as the whole map, without padding or groups: up to "
         f"{limits.FULL_KERNEL.high} each way and {limits.FULL_POSITIONS.high} positions, channels "
         f"up to {limits.FULL_CHANNELS.high}, H x ceil(W/8) x ceil(C/4) up to "
         f"{limits.FULL_BLOCKS_INT32.high}, or {limits.FULL_BLOCKS_INT8.high} where the result is "
         "read on the BPU.", _conv_kernel),
    Rule("CONV-AREA", ("Conv",),
         f"Kernel height x width x input channels per group up to {limits.CONV_AREA.high} (not "
         "for a kernel as large as the whole map above).",
         _conv_area),
    Rule("CONV-DILATION", ("Conv",),
         "Dilations are powers of two divisible by the stride, height not above width.",
         _conv_dilation),
    Rule("DECONV", ("ConvTranspose",),
         f"Kernel {limits.DECONV_KERNEL.low} to {limits.DECONV_KERNEL.high}, channels up to "
         f"{limits.DECONV_CHANNELS.high}, strides 2 or 4 (height not above width), dilation 1, "
         "pads up to (kernel - 1) / 2.", _transposed),
    Rule("POOL-AVERAGE", ("AveragePool",),
         f"Kernel 1 to {limits.AVERAGE_POOL_KERNEL.high}, stride 1 to {limits.POOL_STRIDE.high}.",
         _average_pool),
    Rule("POOL-MAX", ("MaxPool",),
         f"Kernel 1 to {limits.MAX_POOL_KERNEL.high}, stride 1 to {limits.POOL_STRIDE.high}.",
         _max_pool),
    Rule("POOL-GLOBAL-MAX", ("GlobalMaxPool",),
         f"Height and width up to {limits.GLOBAL_MAX_SIDE.high} (above "
         f"{limits.MAX_POOL_KERNEL.high} as a chain of windows).", _global_maximum),
    Rule("ELTWISE", ("Add", "Sub", "Mul"), f"Channels up to {limits.ELTWISE_CHANNELS.high}.",
         _eltwise_channels),
    Rule("ADD-SCALAR", ("Add", "Sub"), "A single computed value is not added to a map.",
         _add_scalar),
    Rule(LOOK_UP_RULE, LOOK_UPS,
         f"At most {limits.LUT_VALUES.high} values, the smaller of W padded to "
         f"{limits.LUT_WIDTH_ALIGN} with C to {limits.LUT_CHANNEL_ALIGN}, and C padded to "
         f"{limits.LUT_CHANNEL_ALIGN_ALONE}.", _lut),
    Rule("CONCAT", ("Concat",), f"Up to {limits.CONCAT_CHANNELS.high} channels.", _concat),
    Rule("BLOCKS", ("DepthToSpace", "SpaceToDepth"), f"Block size {limits.BLOCK_SIZE}.", _blocks),
    Rule("RESIZE", ("Resize",),
         "Nearest enlarges by powers of two, height not above width.", _resize),
)  # fmt: skip
FORM_RULES: dict[str, str] = {
    "RANK": "Input and output have 4 dimensions (NCHW) and a batch of 1.",
    "FLOAT": "Input and output are float in the float model.",
    "ATTRIBUTE": "Every attribute is one that OpenBPU knows, with a value it computes.",
    "FORM": "The node has the form that its operator needs (below).",
    "POOL-GLOBAL": f"GlobalAveragePool: H x W up to {limits.GLOBAL_AVERAGE_POSITIONS.high}, or "
    f"both products of numbers up to {limits.GLOBAL_AVERAGE_STEP} (then split into a chain).",
}
"""Conditions that a node keeps before it is work at all (`units.recognise`)."""
