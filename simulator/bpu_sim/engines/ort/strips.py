"""Chains of convolutions over large tensors, computed in strips of rows that stay in the cache.

A requantization reads and writes its tensor several times; where tensors are larger than a core's
cache, memory decides. A chain of convolutions whose inner tensors nobody else reads is therefore
written once per strip of output rows, on just the input rows the strip needs. Rows at the seams
are computed twice; the bits are the same.

The graph is unrolled, one copy of the chain's nodes a strip, because onnxruntime runs node after
node over whole tensors; the weights are prepared once for all strips. Rows are halved until the
largest tensor of a strip fits, which keeps the strips few: each costs its seams and its nodes.
Where a depthwise convolution follows, slices of channels (`slices`) do better than strips, because
it needs no other channels and slices have no seams; strips then only have to keep what is joined
from the slices within the cache behind.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from bpu_common.network import Operation, QConv, tensors_read
from bpu_common.program import Pair, Quad
from bpu_sim.engines.onnx.emitter import Emitter
from bpu_sim.engines.ort.caches import CacheSizes
from bpu_sim.engines.ort.dispatch import MakeConstants, Scene, Value, emit_conv, is_int32
from bpu_sim.engines.ort.requant import BLOCK
from bpu_sim.engines.ort.slices import can_slice, emit_slices

LEAST_SLICE = 32
"""Channels of a pair's slice that rows are chosen for; more are taken where they fit."""
LEAST_ROWS = 4
"""Strips of so few rows are not halved further, whatever they take."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Convolutions in a row; every tensor between them has no other reader.

    Attributes:
        rows: output rows of the last one that a strip makes.
        strip_bytes: what a tensor of a strip or slice may take.
    """

    ops: tuple[QConv, ...]
    rows: int
    strip_bytes: int


def find_chains(
    ops: Sequence[Operation], scene: Scene, outputs: Collection[str], sizes: CacheSizes
) -> list[Chain]:
    """Maximal chains joined by large tensors, in order of their first operation."""
    readers = Counter(name for op in ops for name in tensors_read(op))
    by_input = {op.x: op for op in ops if isinstance(op, QConv) and readers[op.x] == 1}
    taken: set[str] = set()
    found = []
    for op in ops:
        if not _fits(op, scene) or op.y in taken:
            continue
        links: list[QConv] = [op]
        while True:
            y = links[-1].y
            after = by_input.get(y)
            if y in outputs or _bytes(scene, y) < sizes.strip_bytes or not _fits(after, scene):
                break
            links.append(after)
        if len(links) > 1:
            taken |= {link.y for link in links}
            found.append(_with_rows(scene, tuple(links), sizes))
    return found


def _fits(op: Operation | None, scene: Scene) -> TypeGuard[QConv]:
    return (
        isinstance(op, QConv)
        and op.upsample_hw == (1, 1)
        and op.addend is None
        and op.pad_code == 0
        and not is_int32(scene, op)
    )


def _bytes(scene: Scene, name: str) -> int:
    channels, height, width = scene.shape_chw(name)
    return scene.padded_channels(channels) * height * width * 4


def _with_rows(scene: Scene, ops: tuple[QConv, ...], sizes: CacheSizes) -> Chain:
    """The chain with the most rows, of all, half, a quarter and so on, whose strips fit."""
    height = scene.shape_chw(ops[-1].y)[1]
    paired = {a.y for a, b in itertools.pairwise(ops) if can_slice(scene, a, b)}
    row_bytes: dict[str, float] = {}
    for op in ops[:-1]:
        channels = scene.padded_channels(op.weights.shape[0])
        row = _bytes(scene, op.y) / scene.shape_chw(op.y)[1]
        if op.y in paired:
            row *= min(1.0, LEAST_SLICE / channels)
        elif op.x in paired:
            row *= sizes.strip_bytes / sizes.joined_bytes
        row_bytes[op.y] = row
    rows = height
    while rows > LEAST_ROWS:
        # a strip in the middle needs the most rows: at the edges padding takes the place of some
        middle = (height - rows) // 2
        ranges = _ranges(scene, ops, (middle, middle + rows))
        needed = [
            (high - low) * row_bytes[op.x]
            for op, ((low, high), _) in zip(ops[1:], ranges[1:], strict=True)
        ]
        if max(needed) <= sizes.strip_bytes:
            break
        rows = -(-rows // 2)
    return Chain(ops, rows, sizes.strip_bytes)


def _ranges(scene: Scene, ops: tuple[QConv, ...], rows: Pair) -> list[tuple[Pair, Pair]]:
    """For each operation the input rows it needs and the padding above and below them."""
    found: list[tuple[Pair, Pair]] = []
    first, last = rows
    for op in reversed(ops):
        height = scene.shape_chw(op.x)[1]
        low = first * op.stride_hw[0] - op.pads_tlbr[0]
        high = (last - 1) * op.stride_hw[0] - op.pads_tlbr[0]
        high += (op.kernel_hw[0] - 1) * op.dilation_hw[0] + 1
        first, last = min(max(low, 0), height - 1), max(min(high, height), 1)
        found.append(((first, last), (first - low, high - last)))
    return found[::-1]


def emit_chain(
    emitter: Emitter, scene: Scene, chain: Chain, x: Value, make: MakeConstants
) -> Value:
    """All strips of a chain, joined."""
    height = scene.shape_chw(chain.ops[-1].y)[1]
    strips: list[Value] = []
    ready: dict[tuple[str, int, int], str] = {}
    axis = emitter.const([2], "int64")
    for first in range(0, height, chain.rows):
        ranges = _ranges(scene, chain.ops, (first, min(first + chain.rows, height)))
        value = x
        if chain.rows < height:
            bounds = [emitter.const([row], "int64") for row in ranges[0][0]]
            value = Value(emitter.add("Slice", x.name, *bounds, axis), x.channels)
        strips.append(_emit_strip(emitter, scene, chain, value, make, ranges, ready))
    if len(strips) == 1:
        return strips[0]
    joined = emitter.add("Concat", *(strip.name for strip in strips), axis=2)
    return Value(joined, strips[0].channels)


def _emit_strip(
    emitter: Emitter,
    scene: Scene,
    chain: Chain,
    x: Value,
    make: MakeConstants,
    ranges: list[tuple[Pair, Pair]],
    ready: dict[tuple[str, int, int], str],
) -> Value:
    """One strip: pairs in slices of channels, the others whole."""
    work: list[tuple[QConv, Quad]] = []
    for op, (_, (above, below)) in zip(chain.ops, ranges, strict=True):
        _, left, _, right = op.pads_tlbr
        work.append((op, (above, left, below, right)))
    index = 0
    while index < len(work):
        op, pads = work[index]
        if index + 1 < len(work) and can_slice(scene, op, work[index + 1][0]):
            first, last = ranges[index + 1][0]
            pixel_bytes = (last - first) * scene.shape_chw(op.y)[2] * 4
            width = max(chain.strip_bytes // pixel_bytes // BLOCK * BLOCK, BLOCK)
            pair = (work[index], work[index + 1])
            x = emit_slices(emitter, scene, pair, x, make, width, ready)
            index += 2
        else:
            x = emit_conv(emitter, scene, replace(op, pads_tlbr=pads), [x], make)
            index += 1
    return x
