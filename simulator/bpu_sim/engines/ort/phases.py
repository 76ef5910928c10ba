"""Transposed convolutions without zeros: one ordinary convolution for all phases of the output.

With u zeros' spacing, output u*q + p reads only every u-th kernel tap; for each phase p these taps
form a small kernel over the original pixels. The u * u kernels run as one convolution with u * u
times the channels, which DepthToSpace then lays out. Same products, same sums, same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bpu_common.network import QConv
from bpu_common.params import ChannelParams
from bpu_common.program import Pair
from bpu_common.tensor import F64, I64
from bpu_sim.engines.onnx.emitter import Emitter
from bpu_sim.engines.ort.bodies import ConvConstants
from bpu_sim.engines.ort.plans import ConvPlan


@dataclass(frozen=True, slots=True, eq=False)
class AxisPhases:
    """One axis.

    Attributes:
        taps: (phases, window) kernel position of each window element, -1 for none.
        before: zeros in front of the input.
        after: zeros behind it.
        count: output positions of each phase.
    """

    taps: I64
    before: int
    after: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Both axes of one transposed convolution."""

    upsample: int
    rows: AxisPhases
    columns: AxisPhases
    out_hw: Pair

    @property
    def repeat(self) -> int:
        """How many channels stand for one output channel."""
        return self.upsample * self.upsample


def find_phases(op: QConv, in_hw: Pair, out_hw: Pair) -> Phases | None:
    """The phases of a transposed convolution; None where its form has none."""
    up = op.upsample_hw[0]
    plain = op.stride_hw == (1, 1) and op.dilation_hw == (1, 1) and op.groups == 1
    if op.upsample_hw != (up, up) or up == 1 or not plain:
        return None
    axes = [_axis(op.kernel_hw[i], op.pads_tlbr[i], up, in_hw[i], out_hw[i]) for i in range(2)]
    if axes[0] is None or axes[1] is None:
        return None
    return Phases(up, axes[0], axes[1], out_hw)


def _axis(kernel: int, pad: int, up: int, in_size: int, out_size: int) -> AxisPhases | None:
    first_tap = [(pad - phase) % up for phase in range(up)]
    start = [(phase + tap - pad) // up for phase, tap in enumerate(first_tap)]
    length = [-(-(kernel - tap) // up) if tap < kernel else 0 for tap in first_tap]
    low = min(s for s, n in zip(start, length, strict=True) if n)
    high = max(s + n for s, n in zip(start, length, strict=True) if n)
    count = -(-out_size // up)
    if low > 0:
        return None
    taps = np.full((up, high - low), -1, np.int64)
    for phase in range(up):
        for step in range(length[phase]):
            taps[phase, start[phase] + step - low] = first_tap[phase] + up * step
    return AxisPhases(taps, -low, max(count + high - 1 - in_size, 0), count)


def phased_op(op: QConv, phases: Phases) -> QConv:
    """The ordinary convolution over all phases; its weights' values are not used."""
    window = (phases.rows.taps.shape[1], phases.columns.taps.shape[1])
    rows, columns = phases.rows, phases.columns
    outputs = op.weights.shape[0] * phases.repeat
    params = (
        np.repeat(getattr(op.params, name), phases.repeat)
        for name in ("bias_q", "bias_shift", "right_shift", "multiplier", "out_shift")
    )
    return replace(
        op,
        weights=np.zeros((outputs, *window, op.weights.shape[3]), np.int8),
        params=ChannelParams(*params),
        pads_tlbr=(rows.before, columns.before, rows.after, columns.after),
        upsample_hw=(1, 1),
    )


def phased_plan(plan: ConvPlan, phases: Phases) -> ConvPlan:
    """The plan with every channel's constants repeated."""
    stage = plan.stage
    if stage is None:
        return plan
    repeated = replace(
        stage,
        slope=np.repeat(stage.slope, phases.repeat),
        offset=np.repeat(stage.offset, phases.repeat),
    )
    if stage.split is not None:
        split = tuple(np.repeat(values, phases.repeat) for values in stage.split)
        repeated = replace(repeated, split=(split[0], split[1]))
    return replace(plan, stage=repeated)


@dataclass(frozen=True, slots=True)
class PhasedConstants:
    """Weights of the phases, gathered from those of the transposed convolution."""

    emitter: Emitter
    inner: ConvConstants
    phases: Phases
    kernel_hw: Pair
    channels: Pair

    def weights(self, scale: F64 | None) -> str:
        emitter, phases = self.emitter, self.phases
        height, width = self.kernel_hw
        outputs, inputs = self.channels
        name = self.inner.weights(None if scale is None else scale[:: phases.repeat])
        flat = emitter.param("kernel", np.array([outputs, inputs, height * width], np.int64))
        name = emitter.add("Reshape", name, flat)
        ends = emitter.const([0, 0, 0, 0, 0, 1], "int64")
        name = emitter.add("Pad", name, ends, emitter.const(0.0))
        name = emitter.add("Gather", name, emitter.param("taps", self._taps(width)), axis=2)
        name = emitter.add("Transpose", name, perm=[0, 2, 1, 3, 4])
        window = (phases.rows.taps.shape[1], phases.columns.taps.shape[1])
        shape = np.array([outputs * phases.repeat, inputs, *window], np.int64)
        return emitter.add("Reshape", name, emitter.param("phases", shape))

    def _taps(self, width: int) -> I64:
        """(phases, window rows, window columns) flat kernel positions; the last is a zero."""
        rows = self.phases.rows.taps[:, None, :, None]
        columns = self.phases.columns.taps[None, :, None, :]
        flat = np.where(
            (rows < 0) | (columns < 0), self.kernel_hw[0] * width, rows * width + columns
        )
        index: I64 = flat.reshape(self.phases.repeat, *flat.shape[2:])
        return index


def unfold(emitter: Emitter, y: str, phases: Phases) -> str:
    """(1, C * u * u, h, w) to (1, C, H, W)."""
    y = emitter.add(
        "DepthToSpace", y, blocksize=emitter.attr("blocksize", phases.upsample), mode="CRD"
    )
    made = (phases.rows.count * phases.upsample, phases.columns.count * phases.upsample)
    if made == phases.out_hw:
        return y
    starts = emitter.const([0, 0], "int64")
    ends = emitter.param("ends", np.array(phases.out_hw, np.int64))
    return emitter.add("Slice", y, starts, ends, emitter.const([2, 3], "int64"))
