"""Where a layer is written: what it reads, parameters, weights, and the graph it goes into."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_common.network.check_tensor import MAX_DIMENSION, MAX_TENSOR_BYTES
from bpu_common.tensor import F32, AnyArray
from bpu_host.compiler.frontend.caffe.caffemodel import TrainedBlob
from bpu_host.compiler.frontend.caffe.gen.caffe import network_pb2 as pb
from bpu_host.compiler.frontend.caffe.graph import Attribute, Blob, Graph
from bpu_host.compiler.frontend.inputs import Shape

_FLOAT_BYTES = 4
_MAX_RANK = 8


class Site:
    """One layer on its way into the graph.

    Attributes:
        spec: the layer as its prototxt says it.
        bottoms: what it reads.
        tops: what it has made so far, in the order of the prototxt.

    Args:
        names: of the tensors that its tops become.
        blobs: its weights; empty if the caffemodel has none.
        files: names of prototxt and caffemodel, for messages.
    """

    def __init__(
        self,
        spec: pb.Layer,
        bottoms: Sequence[Blob],
        names: Sequence[str],
        blobs: Sequence[TrainedBlob],
        graph: Graph,
        files: tuple[str, str],
    ) -> None:
        self.spec = spec
        self.bottoms = bottoms
        self.tops: list[Blob] = []
        self._names = names
        self._blobs = blobs
        self._graph = graph
        self._files = files

    @property
    def place(self) -> str:
        """The layer, for messages."""
        return place(self._files[0], self.spec)

    def unsupported(self, sentence: str, hint: str = "") -> ModelUnsupported:
        """An error about what the layer asks for."""
        return ModelUnsupported(sentence, where=self.place, hint=hint)

    def bottom(self, *, ranks: Sequence[int] = range(1, _MAX_RANK + 1)) -> Blob:
        """The only blob that the layer reads.

        Raises:
            ModelUnsupported: it reads more or less, or one of another number of axes.
        """
        if len(self.bottoms) != 1:
            raise self.unsupported(f"reads {len(self.bottoms)} blobs, not one")
        return self.ranked(self.bottoms[0], ranks)

    def ranked(self, blob: Blob, ranks: Sequence[int]) -> Blob:
        """The blob, if its number of axes is one of these.

        Raises:
            ModelUnsupported: it is not.
        """
        if len(blob.shape) not in ranks:
            wanted = " or ".join(map(str, sorted({ranks[0], ranks[-1]})))
            raise self.unsupported(
                f"reads '{blob.name}' of {len(blob.shape)} axes {list(blob.shape)}, not {wanted}"
            )
        return blob

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            ModelUnsupported: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise self.unsupported(f"axis {axis} does not exist: its input has {rank} axes")
        return axis % rank

    def blob(self, index: int, shape: Shape) -> F32:
        """Weights of the layer.

        Args:
            shape: what they must have; axes of size 1 in front do not count.

        Raises:
            ModelUnsupported: the sizes are beyond what can be converted.
            ModelFormatError: the caffemodel has them not, or others.
        """
        self.check_shape("its weights", shape)
        where = place(self._files[1], self.spec)
        if index >= len(self._blobs):
            raise ModelFormatError(
                f"has no weights {index} (of shape {list(shape)})",
                where=where,
                hint="prototxt and caffemodel belong together: layers have the same names in both",
            )
        found = self._blobs[index]
        size = math.prod(shape)
        if found.values.size != size or _significant(found.shape) != _significant(shape):
            raise ModelFormatError(
                f"weights {index} are {found.values.size} values of shape "
                f"{list(found.shape)[:_MAX_RANK]}; the prototxt needs {list(shape)}",
                where=where,
                hint="prototxt and caffemodel do not belong together, or a file is damaged",
            )
        return found.values.reshape(shape)

    def constant(self, what: str, array: AnyArray) -> str:
        """A constant called after the layer."""
        return self._graph.constant(f"{self.spec.name}_{what}", array)

    def number(self, what: str, value: float) -> str:
        """A constant of one float32."""
        return self.constant(what, np.array(value, np.float32))

    def ints(self, what: str, values: Sequence[int]) -> str:
        """A constant list of integers, such as a shape."""
        return self.constant(what, np.array(values, np.int64))

    def node(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """An ONNX node on the way; returns its output."""
        (output,) = self.nodes(op, *inputs, count=1, **attributes)
        return output

    def nodes(self, op: str, *inputs: str, count: int, **attributes: Attribute) -> list[str]:
        """An ONNX node on the way with `count` outputs, which it returns."""
        name = self._graph.node_name(f"{self.spec.name}_{op.lower()}")
        outputs = [self._graph.tensor_name(f"{name}_output") for _ in range(count)]
        self._graph.node(name, op, inputs, outputs, attributes)
        return outputs

    def end(
        self,
        op: str,
        *inputs: str,
        shapes: Sequence[Shape],
        positions_of: Shape = (),
        **attributes: Attribute,
    ) -> None:
        """The ONNX node that has the layer's name and makes its tops.

        Args:
            shapes: of the tops, by Caffe's rules.
            positions_of: in a blob of this shape the second top holds the positions of maxima.

        Raises:
            ModelUnsupported: as many tops, or so large ones, are impossible.
        """
        if len(shapes) != len(self._names):
            raise self.unsupported(f"has {len(self._names)} tops, not {len(shapes)}")
        for shape in shapes:
            self.check_shape("its output", shape)
        self._graph.node(self.spec.name, op, inputs, self._names, attributes)
        self.tops = [
            Blob(name, tuple(shape), positions_of if index == 1 else ())
            for index, (name, shape) in enumerate(zip(self._names, shapes, strict=True))
        ]

    def end_each(self, op: str, *inputs: str, shape: Shape) -> None:
        """The same ONNX node once for each top."""
        for name in self._names:
            self._graph.node(self.spec.name, op, inputs, (name,), {})
            self.tops.append(Blob(name, shape))

    @property
    def top_count(self) -> int:
        """How many tops the prototxt gives it."""
        return len(self._names)

    def check_shape(self, what: str, shape: Shape) -> None:
        """Whether arrays of this shape can be converted at all.

        Raises:
            ModelUnsupported: they are empty, or too large.
        """
        check_shape(what, shape, self.place)


def check_shape(what: str, shape: Shape, where: str) -> None:
    """Whether arrays of this shape can be converted at all.

    Raises:
        ModelUnsupported: they are empty, or too large.
    """
    shown = f"{list(shape[:_MAX_RANK])}{' and more' if len(shape) > _MAX_RANK else ''}"
    if any(size < 1 for size in shape):
        raise ModelUnsupported(
            f"{what} would have the shape {shown}",
            where=where,
            hint="check the sizes of inputs and windows",
        )
    large = any(size > MAX_DIMENSION for size in shape) or len(shape) > _MAX_RANK
    if large or _FLOAT_BYTES * math.prod(shape) > MAX_TENSOR_BYTES:
        raise ModelUnsupported(
            f"{what} would have the shape {shown}, which is too large: at most "
            f"{MAX_TENSOR_BYTES >> 20} MiB, {MAX_DIMENSION} in each of {_MAX_RANK} dimensions",
            where=where,
            hint="check the shapes in the prototxt, and input_shape (checker: --input-shape)",
        )


def place(file: str, layer: pb.Layer) -> str:
    """A layer of a file, for messages."""
    return f"{file}: layer {layer.name} ({layer.type})"


def _significant(shape: Shape) -> Shape:
    """A shape without the axes of size 1 in front, which old files have more of."""
    first = next((index for index, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]
