"""One BPU part as the placer sees it: operations, tensors, who reads what, what is a view.

Operations that only copy need not copy where their result can be a view. The inputs of a concat or
a pad are written straight into its result; the result of a slice is a strided window on its input.
Such a tensor is an alias: it owns no memory, its root does. Only roots are given memory, stay in
SRAM or go to DDR, always with everything that lies in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpu_common.errors import CompilerBug
from bpu_common.model import ConstantPlace
from bpu_common.network import (
    BpuOp,
    QConcat,
    QPad,
    QSlice,
    tensors_read,
)
from bpu_common.tensor import DDR_WIDTH_ALIGN, ModelInput, TensorSpec
from bpu_host.compiler.place.memory import Affine

IDENTITY = Affine()


@dataclass(frozen=True, slots=True)
class Alias:
    """A tensor that lies inside another one's memory.

    `root` owns its memory: it is never an alias itself, however deep concats and slices are nested.
    """

    root: str
    affine: Affine


@dataclass(frozen=True, slots=True, eq=False)
class PartGraph:
    """One BPU part.

    Attributes:
        constants: places in the weights section, one for each operation.
        images: model inputs that arrive as raw pictures, by tensor name.
        aliases: tensors that are views of a root; roots are absent.
        readers: indices into `ops` of the operations that read a tensor.
        maker: index of the operation that makes a tensor; absent for inputs.
    """

    ops: tuple[BpuOp, ...]
    tensors: dict[str, TensorSpec]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    images: dict[str, ModelInput]
    constants: tuple[ConstantPlace, ...]
    width_align: int = DDR_WIDTH_ALIGN
    aliases: dict[str, Alias] = field(default_factory=dict)
    readers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    maker: dict[str, int] = field(default_factory=dict)

    def root(self, tensor: str) -> str:
        """The tensor that owns the memory `tensor` lies in."""
        alias = self.aliases.get(tensor)
        return tensor if alias is None else alias.root

    def affine(self, tensor: str) -> Affine:
        """Where `tensor` lies in its root."""
        alias = self.aliases.get(tensor)
        return IDENTITY if alias is None else alias.affine


def build_graph(graph: PartGraph) -> PartGraph:
    """Fill `readers`, `maker` and `aliases` (in place) and return the graph.

    Raises:
        CompilerBug: a tensor is made twice or an operation uses what the placer cannot express.
    """
    for index, op in enumerate(graph.ops):
        if op.y in graph.maker:
            raise CompilerBug(f"place: tensor {op.y!r} is made twice", where=op.name)
        graph.maker[op.y] = index
        for name in tensors_read(op):
            graph.readers[name] = (*graph.readers.get(name, ()), index)
    for op in graph.ops:
        _add_aliases(graph, op)
    return graph


def _add_aliases(graph: PartGraph, op: BpuOp) -> None:
    match op:
        case QConcat():
            at = 0
            for x in op.xs:
                offset = [0, 0, 0]
                offset[op.axis] = at
                at += graph.tensors[x].shape_hwc[op.axis]
                if op.xs.count(x) == 1:
                    _try_alias(graph, x, op.y, Affine((offset[0], offset[1], offset[2])))
        case QPad():
            _try_alias(graph, op.x, op.y, Affine((op.pads_tlbr[0], op.pads_tlbr[1], 0)))
        case QSlice():
            if min(op.step_hwc) < 1:
                raise CompilerBug("place: a slice with a negative step", where=op.name)
            if op.step_hwc[2] == 1 and op.y not in graph.outputs:
                inner = Affine(op.start_hwc, (op.step_hwc[0], op.step_hwc[1]))
                outer = graph.affine(op.x)
                graph.aliases[op.y] = Alias(graph.root(op.x), outer.after(inner))
        case _:
            pass


def _try_alias(graph: PartGraph, x: str, y: str, affine: Affine) -> None:
    """Let `x` be written straight into `y` where nothing forbids it.

    `x` must be made in this part, own its memory, and not be an output with a place of its own.
    """
    if x not in graph.maker or x in graph.outputs or x in graph.aliases:
        return
    root, outer = graph.root(y), graph.affine(y)
    composed = outer.after(affine)
    # x has been a root until now: what lies in it lies in the new root
    for name, alias in list(graph.aliases.items()):
        if alias.root == x:
            graph.aliases[name] = Alias(root, composed.after(alias.affine))
    graph.aliases[x] = Alias(root, composed)
