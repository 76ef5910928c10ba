"""One scale per tensor: which tensors share a scale, and from whose threshold it comes.

Work that keeps codes (pooling maximum, resize, slice, pad, blocks) has one scale for input and
result; a Concat shares its scale with every branch that nothing else reads, the other branches get
a SCALE operation. A group's threshold is the largest of those tensors that something else than the
group itself reads, or that it interpolates: only there does the scale matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bpu_common.tensor import INT8_MAX, Scale
from bpu_host.compiler.units.work import ConcatWork, Unit

STAND_IN = 1.0
"""The threshold of a tensor that no sample gives a range."""
OFFSET_CODE = -128
"""The code of 0 in a tensor that is never negative and uses all codes."""
OFFSET_STEPS = INT8_MAX - OFFSET_CODE


def scale_of(threshold: float) -> float:
    """threshold / 127 as the nearest float32 (what every artifact stores)."""
    return float(np.float32(threshold / INT8_MAX))


def scale_for(threshold: float, *, offset: bool) -> Scale:
    """The scale of a tensor; with `offset` its codes are those of values from 0 on, minus 128."""
    if not offset:
        return Scale.per_tensor(scale_of(threshold))
    return Scale.per_tensor(float(np.float32(threshold / OFFSET_STEPS)), OFFSET_CODE)


class Thresholds:
    """Calibrated thresholds with the rules for tensors that have none.

    Attributes:
        still: tensors whose threshold was zero or missing, in the order they were asked for.
    """

    def __init__(self, calibrated: Mapping[str, float], stand_ins: Mapping[str, str]) -> None:
        self._calibrated = calibrated
        self._stand_ins = stand_ins
        self.still: dict[str, None] = {}

    def __call__(self, tensor: str) -> float:
        """The threshold of `tensor`; `STAND_IN` where the data never left zero."""
        value = self._calibrated.get(tensor)
        if value is None:
            value = self._calibrated.get(self._stand_ins.get(tensor, tensor), 0.0)
        if np.isfinite(value) and scale_of(value) > 0:
            return value
        self.still[tensor] = None
        return STAND_IN


class _Groups:
    """Disjoint sets of tensor names."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        root = self._parent.setdefault(name, name)
        while root != self._parent[root]:
            root = self._parent[root]
        while name != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def union(self, first: str, second: str) -> None:
        self._parent[self.find(first)] = self.find(second)

    def members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self._parent:
            found[self.find(name)].append(name)
        return found


def assign_thresholds(
    units: Sequence[Unit],
    thresholds: Thresholds,
    fixed: Mapping[str, float],
    leaving: Iterable[str],
    int32: frozenset[str],
) -> dict[str, float]:
    """The threshold each int8 tensor gets.

    Args:
        units: what runs on the BPU, in order.
        fixed: thresholds that may not move (image inputs: 127).
        leaving: tensors that CPU operators read or that are model outputs.
        int32: tensors that have per-channel int32 scales instead.
    """
    readers: dict[str, list[Unit]] = defaultdict(list)
    groups = _Groups()
    for unit in units:
        for x in unit.xs:
            readers[x].append(unit)
            groups.find(x)
        if unit.y not in int32:
            groups.find(unit.y)
    outside = frozenset(leaving)
    for unit in units:
        if unit.keeps_codes:
            groups.union(unit.xs[0], unit.y)
    for unit in units:
        if isinstance(unit.work, ConcatWork):
            _join_branches(unit, groups, readers, outside, fixed)
    result: dict[str, float] = {}
    for members in groups.members().values():
        value = _group_threshold(members, groups, readers, outside, fixed, thresholds)
        result.update(dict.fromkeys(members, value))
    return result


def _join_branches(
    unit: Unit,
    groups: _Groups,
    readers: Mapping[str, list[Unit]],
    outside: frozenset[str],
    fixed: Mapping[str, float],
) -> None:
    """Let the branches of a Concat that nothing else reads take its scale."""
    members = groups.members()
    for x in dict.fromkeys(unit.xs):
        group = members[groups.find(x)]
        others = [
            reader
            for name in group
            for reader in readers[name]
            if reader is not unit and not _inside(reader, groups, x)
        ]
        if not others and not outside.intersection(group) and not fixed.keys() & set(group):
            groups.union(x, unit.y)
            members = groups.members()


def _inside(reader: Unit, groups: _Groups, tensor: str) -> bool:
    """Whether `reader` only passes codes on within the group of `tensor`."""
    passes = reader.selects or isinstance(reader.work, ConcatWork)
    return passes and groups.find(reader.y) == groups.find(tensor)


def _group_threshold(
    members: list[str],
    groups: _Groups,
    readers: Mapping[str, list[Unit]],
    outside: frozenset[str],
    fixed: Mapping[str, float],
    thresholds: Thresholds,
) -> float:
    for name in members:
        if name in fixed:
            return fixed[name]
    read = [
        name
        for name in members
        if name in outside or any(not _inside(reader, groups, name) for reader in readers[name])
    ]
    return max(thresholds(name) for name in (read or members))
