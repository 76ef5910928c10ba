"""What an instruction must keep whatever the memories hold; broken rules are DeviceFaults."""

from __future__ import annotations

from bpu_common.errors import DeviceFault
from bpu_common.limits import RESIZE_STEPS
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    AwaitStream,
    Axis,
    Conv,
    Eltwise,
    Fill,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Pair,
    Resize,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import DType
from bpu_sim.machine.memory import describe


def check_form(op: Instruction) -> None:
    """Operands and results fit each other and the instruction's numbers.

    Raises:
        DeviceFault: they do not.
    """
    match op:
        case Load() | Store():
            _require_copy(op)
        case LoadImage():
            _require_picture(op)
        case Move(x=x, y=y):
            _require_same_form(x, y)
            _require_result(op)
            _require_codes(x)
        case Fill():
            _require_result(op)
        case Conv():
            _require_result(op)
            _require_conv(op)
        case MaxPool(x=x, y=y):
            _require_result(op)
            _require_channels(x, y)
            _require_windows(op, (x.shape_hwc[0], x.shape_hwc[1]), op.kernel_hw)
            _require_codes(x)
        case Eltwise():
            _require_result(op)
            _require_operands(op)
        case Lut(x=x, y=y):
            _require_result(op)
            _require_same_form(x, y)
            if op.table_count not in (1, x.shape_hwc[2]):
                raise DeviceFault(f"{op.table_count} look-up tables for {x.shape_hwc[2]} channels")
            _require_codes(x)
        case Resize(x=x, y=y):
            _require_result(op)
            _require_axis(op.rows, x, y, 0)
            _require_axis(op.columns, x, y, 1)
            _require_channels(x, y)
            _require_codes(x)
        case LoadConst() | LoadRoi() | AwaitStream():
            pass  # bytes, or a picture that is known when it runs


def _require_picture(op: LoadImage) -> None:
    image, (rows, width, channels) = op.image, op.dst.shape_hwc
    if op.row0 < 0 or op.row0 + rows > image.height or width > image.width:
        raise DeviceFault(
            f"reads rows [{op.row0}, {op.row0 + rows}) and {width} columns of a picture of "
            f"{image.height}x{image.width}"
        )
    if image.input_type.is_nv12 and channels != 3:
        raise DeviceFault(f"an nv12 picture has 3 channels, not {channels}")
    if op.dst.dtype is not DType.INT8 or op.dst.space is not Space.SRAM:
        raise DeviceFault(f"reads a picture to {describe(op.dst)}; it becomes int8 in SRAM")


def _require_copy(op: Load | Store) -> None:
    _require_same_form(op.src, op.dst)
    on_chip = op.dst if isinstance(op, Load) else op.src
    if on_chip.space is not Space.SRAM or op.src.space is op.dst.space:
        raise DeviceFault(f"cannot copy {describe(op.src)} to {describe(op.dst)}")


def _require_codes(tile: Tile) -> None:
    if tile.dtype is not DType.INT8 or tile.space is not Space.SRAM:
        raise DeviceFault(f"computes on {describe(tile)}; operands are int8 in SRAM")


def _require_result(op: Conv | MaxPool | Eltwise | Lut | Resize | Move | Fill) -> None:
    """Results are int8 in SRAM; a convolution may leave int32 accumulators there."""
    wide = isinstance(op, Conv) and op.y.dtype is DType.INT32
    if op.y.space is not Space.SRAM or not (wide or op.y.dtype is DType.INT8):
        raise DeviceFault(f"computes {describe(op.y)}; results are int8 in SRAM")


def _require_conv(op: Conv) -> None:
    channels, outputs = op.x.shape_hwc[2], op.y.shape_hwc[2]
    if op.groups < 1 or channels % op.groups or outputs % op.groups:
        raise DeviceFault(f"{op.groups} groups of {channels} to {outputs} channels")
    spread = tuple((op.x.shape_hwc[i] - 1) * op.upsample_hw[i] + 1 for i in (0, 1))
    reach = tuple((op.kernel_hw[i] - 1) * op.dilation_hw[i] + 1 for i in (0, 1))
    _require_windows(op, (spread[0], spread[1]), (reach[0], reach[1]))
    if op.params_offset_bytes % CHANNEL_PARAM_BYTES:
        raise DeviceFault(f"parameter table at {op.params_offset_bytes} is misaligned")
    _require_codes(op.x)
    if op.addend is not None:
        if op.addend.shape_hwc != op.y.shape_hwc:
            raise DeviceFault(f"{describe(op.addend)} and {describe(op.y)} differ in shape")
        if len(op.factors) not in (1, outputs):
            raise DeviceFault(f"{len(op.factors)} factors for {outputs} channels")
        _require_codes(op.addend)


def _require_operands(op: Eltwise) -> None:
    _require_same_form(op.a, op.y)
    _require_codes(op.a)
    if op.b is None:
        return
    if op.b.shape_hwc not in {op.a.shape_hwc, (1, 1, op.a.shape_hwc[2]), (1, 1, 1)}:
        raise DeviceFault(f"operand {op.b.shape_hwc} does not broadcast to {op.a.shape_hwc}")
    _require_codes(op.b)


def _require_same_form(x: Tile, y: Tile) -> None:
    if x.shape_hwc != y.shape_hwc or x.dtype is not y.dtype:
        raise DeviceFault(f"{describe(x)} and {describe(y)} differ in shape or type")


def _require_channels(x: Tile, y: Tile) -> None:
    if x.shape_hwc[2] != y.shape_hwc[2]:
        raise DeviceFault(f"{describe(x)} and {describe(y)} differ in channels")


def _require_windows(op: Conv | MaxPool, size_hw: Pair, reach: Pair) -> None:
    """Every window of the output lies in the padded input."""
    top, left, bottom, right = op.pads_tlbr
    if min(op.pads_tlbr) < 0 or min(op.stride_hw) < 1:
        raise DeviceFault(f"pads {op.pads_tlbr} or strides {op.stride_hw} out of range")
    padded = (size_hw[0] + top + bottom, size_hw[1] + left + right)
    for axis, name in enumerate(("rows", "columns")):
        needed = (op.y.shape_hwc[axis] - 1) * op.stride_hw[axis] + reach[axis]
        if needed > padded[axis]:
            raise DeviceFault(
                f"the output needs {needed} {name} of padded input, there are {padded[axis]}"
            )


def _require_axis(axis: Axis, x: Tile, y: Tile, dimension: int) -> None:
    count, size = y.shape_hwc[dimension], x.shape_hwc[dimension]
    if not len(axis.low) == len(axis.high) == len(axis.frac) == count:
        raise DeviceFault(f"a resize axis has {len(axis.low)} positions, the output {count}")
    if min(axis.low, default=0) < 0 or max((*axis.low, *axis.high), default=0) >= size:
        raise DeviceFault(f"a resize axis leaves its input of {size} positions")
    if not all(0 <= weight < RESIZE_STEPS for weight in axis.frac):
        raise DeviceFault(f"a resize weight lies outside 0..{RESIZE_STEPS - 1}")
