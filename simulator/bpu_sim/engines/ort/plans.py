"""How each convolution and element-wise operation of a network is computed in floating point.

A plan depends on the numbers of the network alone, never on the machine, and is the same for every
ONNX that is written from it: the graphs of the engine and the quantized model. Finding the float32
constants of a plan is a search (`stage`); a network's plans are made once and shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bpu_common.network import Network, QConv, QEltwise
from bpu_common.network.ranges import code_ranges
from bpu_common.program import FULL_RANGE, EltwiseKind, Pair
from bpu_common.tensor import I8, I64, DType, TensorSpec
from bpu_sim.engines.ort.stage import EXACT_LIMIT, Requants, Stage, requants_of


@dataclass(frozen=True, slots=True, eq=False)
class ConvPlan:
    """How one convolution is computed.

    Attributes:
        stage: proved float32 constants; None for int32 results and where none exist.
        parts: masks (P, I/g, kh, kw) that cut the sum into exact pieces; None: one sum.
        int32: the result is the accumulator itself.
    """

    stage: Stage | None
    parts: I8 | None
    int32: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EltwisePlan:
    """How one element-wise operation is computed: codes a * ka + b * kb, or a product.

    Attributes:
        ka: int64, one or one per channel.
        kb: likewise.
        requants: with the zeros of sums folded into the bias; those of a product are not.
        stage: proved float32 constants, if there are.
    """

    ka: I64
    kb: I64
    requants: Requants
    stage: Stage | None


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of one network by the tensor that is made, each found when first asked for.

    Attributes:
        ranges: inclusive bounds of codes, by tensor.
        known: constants by the tensor an operation makes (None: no float32 form). They are proved
            before they are used, and searched where they are missing or wrong.
        trusted: `known` are the results of such a proof for this very network.
    """

    tensors: Mapping[str, TensorSpec]
    ranges: Mapping[str, Pair]
    known: Mapping[str, Stage | None] = field(default_factory=dict)
    trusted: bool = False
    convs: dict[str, ConvPlan] = field(default_factory=dict)
    eltwises: dict[str, EltwisePlan] = field(default_factory=dict)

    @staticmethod
    def of(
        network: Network, known: Mapping[str, Stage | None] | None = None, *, trusted: bool = False
    ) -> Plans:
        """For all operations of a network."""
        ranges = code_ranges(network.ops, network.tensors)
        return Plans(network.tensors, ranges, known or {}, trusted)

    def conv(self, op: QConv) -> ConvPlan:
        """The plan of a convolution."""
        if op.y not in self.convs:
            self.convs[op.y] = self._plan_conv(op)
        return self.convs[op.y]

    def eltwise(self, op: QEltwise) -> EltwisePlan:
        """The plan of an element-wise operation."""
        if op.y not in self.eltwises:
            self.eltwises[op.y] = self._plan_eltwise(op)
        return self.eltwises[op.y]

    def _plan_conv(self, op: QConv) -> ConvPlan:
        """Decide between the float32 form and the float64 fallback, with the real weights."""
        if self.trusted and op.y in self.known:
            stage = self.known[op.y]
            return ConvPlan(stage, None if stage is not None else exact_parts(op))
        lowest, highest = self._reach(op)
        if self.tensors[op.y].dtype is DType.INT32:
            bias = op.params.bias
            largest = np.maximum(highest + np.maximum(bias, 0), -lowest - np.minimum(bias, 0))
            exact = largest.max(initial=0) < EXACT_LIMIT
            return ConvPlan(None, None if exact else exact_parts(op), int32=True)
        stage = self._stage(op, requants_of(op.params), lowest, highest)
        return ConvPlan(stage, None if stage is not None else exact_parts(op))

    def _reach(self, op: QConv) -> tuple[I64, I64]:
        """(O,) bounds of every partial sum, without bias."""
        least, most = _with_padding(op, self.ranges.get(op.x, FULL_RANGE))
        flat = op.weights.reshape(len(op.weights), -1)
        positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
        negative = flat.sum(axis=1, dtype=np.int64) - positive
        lowest, highest = (
            positive * least + negative * most,
            positive * most + negative * least,
        )
        if op.addend is not None:
            low, high = self.ranges.get(op.addend.x, FULL_RANGE)
            ends = np.outer((low, high, 0), np.array(op.addend.factors, np.int64))
            lowest, highest = lowest + ends.min(axis=0), highest + ends.max(axis=0)
        return lowest, highest

    def _plan_eltwise(self, op: QEltwise) -> EltwisePlan:
        ends_a = np.array(self.ranges.get(op.a, FULL_RANGE), np.int64)
        ends_b = np.array(FULL_RANGE if op.b is None else self.ranges.get(op.b, FULL_RANGE))
        ka, kb, requants = eltwise_numbers(op)
        match op.kind:
            case EltwiseKind.ADD:
                reach = np.outer(np.repeat(ends_a, 2), ka) + np.outer(np.tile(ends_b, 2), kb)
            case EltwiseKind.MUL:
                product = np.multiply.outer(ends_a - op.zeros[0], ends_b - op.zeros[1])
                reach = np.outer(product.reshape(-1), np.ones_like(ka))
            case EltwiseKind.SCALE:
                reach = np.outer(ends_a, ka)
        lowest, highest = np.minimum(reach.min(axis=0), 0), np.maximum(reach.max(axis=0), 0)
        return EltwisePlan(ka, kb, requants, self._stage(op, requants, lowest, highest))

    def _stage(
        self, op: QConv | QEltwise, requants: Requants, lowest: I64, highest: I64
    ) -> Stage | None:
        given = self.known.get(op.y)
        if op.y in self.known and (self.trusted or given is None):
            return given
        return requants.stage(lowest, highest, op.clamp, given)


def eltwise_numbers(op: QEltwise) -> tuple[I64, I64, Requants]:
    """Factors of a and b and the requantization; zeros of sums are folded into its bias."""
    ka, kb, bias, *others = np.array(
        [
            (e.ka, e.kb, e.requant.bias, e.requant.right_shift, e.requant.multiplier,
             e.requant.out_shift)
            for e in op.entries
        ],
        np.int64,
    ).T  # fmt: skip
    if op.kind is not EltwiseKind.MUL:
        bias = bias - op.zeros[0] * ka
    if op.kind is EltwiseKind.ADD:
        bias = bias - op.zeros[1] * kb
    return ka, kb, Requants(bias, *others)


def _with_padding(op: QConv, codes: Pair) -> Pair:
    """Bounds of what a window reads: codes, padding, and zeros in padded channels."""
    return min(codes[0], op.pad_code, 0), max(codes[1], op.pad_code, 0)


def exact_parts(op: QConv) -> I8:
    """Masks of taps (P, I/g, kh, kw) that cut every output channel's sum into exact pieces.

    The window alone may be too large (global average pooling: up to 8192 positions of one channel),
    so the cuts run over channels, rows and columns. One tap always fits.
    """
    outputs, kernel_h, kernel_w, depth = op.weights.shape
    taps = np.abs(op.weights.transpose(0, 3, 1, 2).reshape(outputs, -1).astype(np.int64))
    reach = np.cumsum(taps * 128, axis=1)
    pieces, start = [], 0
    before = np.zeros((outputs, 1), np.int64)
    while start < reach.shape[1]:
        fits = (reach - before < EXACT_LIMIT).all(axis=0)
        end = int(np.count_nonzero(fits))
        piece = np.zeros(reach.shape[1], np.int8)
        piece[start:end] = 1
        pieces.append(piece)
        start, before = end, reach[:, end - 1 : end]
    return np.stack(pieces).reshape(-1, depth, kernel_h, kernel_w)
