"""Homes of tensors: which lie in SRAM as a whole, which in DDR, and at what pitch.

A root may have both: a resident input is brought to SRAM, a resident output is stored as well. One
without a home in SRAM is loaded and stored tile by tile, through temporary buffers. One without a
home in DDR never leaves the chip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bpu_common.program import Image, IoSlot, Space
from bpu_common.tensor import DType, InputType, align_up
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.memory import (
    BUFFER_ALIGN,
    Buffer,
    View,
    ddr_view,
    dense_bytes,
    dense_view,
    whole,
)


@dataclass(slots=True, eq=False)
class Homes:
    """Memory of every root tensor of a part.

    Attributes:
        sram: roots that lie in SRAM as a whole while they live.
        ddr: roots that have a place in DDR (inputs, outputs, spilled ones).
        images: inputs that are raw pictures.
        loaded_rows: rows of an SRAM-resident input that are there already.
    """

    graph: PartGraph
    sram: dict[str, View] = field(default_factory=dict)
    ddr: dict[str, View] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    inputs: list[IoSlot] = field(default_factory=list)
    outputs: list[IoSlot] = field(default_factory=list)
    loaded_rows: dict[str, int] = field(default_factory=dict)
    io_bytes: int = 0

    def sram_view(self, tensor: str) -> View | None:
        """The whole of `tensor` in SRAM, None if it is not resident."""
        return self._view(self.sram, tensor)

    def ddr_view(self, tensor: str) -> View | None:
        """The whole of `tensor` in DDR, None if it has no place there."""
        return self._view(self.ddr, tensor)

    def _view(self, homes: dict[str, View], tensor: str) -> View | None:
        root = homes.get(self.graph.root(tensor))
        if root is None or tensor not in self.graph.aliases:
            return root
        box = whole(self.graph.tensors[tensor].shape_hwc)
        return root.derive(self.graph.affine(tensor), box)


def make_homes(graph: PartGraph, resident: frozenset[str], roots: Iterable[str]) -> Homes:
    """Homes of the inputs, the outputs and `roots`, when the roots `resident` stay in SRAM."""
    homes = Homes(graph)
    for name in graph.inputs:
        _add_input(homes, name)
    for name in graph.outputs:
        tensor = graph.tensors[name]
        buffer = Buffer(name, Space.IO, 0, homes.io_bytes)
        view = ddr_view(buffer, tensor.shape_hwc, tensor.dtype, graph.width_align)
        buffer.size_bytes = view.row_pitch_bytes * tensor.shape_hwc[0]
        homes.outputs.append(IoSlot(name, homes.io_bytes, buffer.size_bytes))
        homes.io_bytes += align_up(buffer.size_bytes, BUFFER_ALIGN)
        homes.ddr[name] = view
    for name in roots:
        tensor = graph.tensors[name]
        if name in resident:
            size = dense_bytes(tensor.shape_hwc, tensor.dtype)
            buffer = Buffer(name, Space.SRAM, size)
            homes.sram[name] = dense_view(buffer, whole(tensor.shape_hwc), tensor.dtype)
        elif name not in homes.ddr and name not in homes.images:
            buffer = Buffer(name, Space.SCRATCH, 0)
            view = ddr_view(buffer, tensor.shape_hwc, tensor.dtype, graph.width_align)
            buffer.size_bytes = align_up(view.row_pitch_bytes * tensor.shape_hwc[0], BUFFER_ALIGN)
            homes.ddr[name] = view
    return homes


def _add_input(homes: Homes, name: str) -> None:
    graph = homes.graph
    height, width, channels = graph.tensors[name].shape_hwc
    offset = homes.io_bytes
    source = graph.images.get(name)
    if source is None:
        tensor = graph.tensors[name]
        buffer = Buffer(name, Space.IO, 0, offset)
        view = ddr_view(buffer, tensor.shape_hwc, tensor.dtype, graph.width_align)
        size = buffer.size_bytes = view.row_pitch_bytes * height
        homes.ddr[name] = view
    elif source.input_type.is_nv12:
        stride = align_up(width, graph.width_align)
        size = stride * height * 3 // 2
        homes.images[name] = Image(offset, height, width, stride, InputType.NV12)
    else:
        stride = align_up(width, graph.width_align) * channels * DType.UINT8.size_bytes
        size = stride * height
        homes.images[name] = Image(offset, height, width, stride, source.input_type)
    homes.inputs.append(IoSlot(name, offset, size))
    homes.io_bytes += align_up(size, BUFFER_ALIGN)
