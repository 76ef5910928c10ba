"""What runs as one operation once it is known which nodes run on the BPU: the only owner of that.

Conv, Add, Sub, Mul and means take over the Relu or Clip that alone reads their result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units.work import CLAMPING, ClampWork, Plan, Unit


def fuse(plan: Plan, on_bpu: Collection[str]) -> dict[str, tuple[Unit, ...]]:
    """The units that run, in the order of the graph, by name of the node in whose place they run.

    Args:
        on_bpu: names of the nodes on the BPU.
    """
    clamps = {
        units[0].xs[0]: units[0]
        for name, units in plan.units.items()
        if name in on_bpu and isinstance(units[0].work, ClampWork)
    }
    found: dict[str, tuple[Unit, ...]] = {}
    gone: set[str] = set()
    for name, units in plan.units.items():
        if name not in on_bpu or name in gone:
            continue
        last = units[-1]
        clamp = clamps.get(last.y) if isinstance(last.work, CLAMPING) else None
        if clamp is not None and g.sole_user(last.covers[0].outputs[0]) is clamp.covers[0]:
            gone.update(clamp.sources)
            units = (*units[:-1], _joined(last, clamp))
        found[name] = units
    return found


def _joined(unit: Unit, clamp: Unit) -> Unit:
    assert isinstance(clamp.work, ClampWork)
    return replace(unit, covers=(*unit.covers, *clamp.covers), y=clamp.y, bounds=clamp.work.bounds)


def float_tensors(plan: Plan, units: Iterable[Unit]) -> tuple[str, ...]:
    """Names of the float tensors that `units` read and write: those whose range matters.

    What lies between fused nodes is left out: nothing ever holds it.
    """
    existing = {g.name_of(value) for value in plan.model.graph.inputs}
    existing |= {g.name_of(value) for node in plan.model.graph for value in node.outputs}
    views: dict[str, list[str]] = {}
    for view, image in plan.aliases.items():
        views.setdefault(image, []).append(view)
    names: dict[str, None] = {}
    for unit in units:
        read: Sequence[str] = [view for x in unit.xs for view in views.get(x, [x])]
        names.update(dict.fromkeys(name for name in (*read, unit.y) if name in existing))
    return tuple(names)
