"""One graph in a worker, with the interface of `engines.onnx.Session`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from bpu_common.errors import CapacityError, DeviceFault
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray, TensorSpec
from bpu_sim.engines.contained import layout
from bpu_sim.engines.contained.layout import MESSAGE, Description, Item, Kind
from bpu_sim.engines.contained.worker import RUN_CPU_S, Worker

MEMORY_BYTES = 768 << 20
"""Address space of a worker beside constants (which onnxruntime copies), inputs and outputs."""
MAX_EDGE_BYTES = 256 << 20
"""Inputs and outputs of a graph together."""


class ContainedSession:
    """A graph that a worker runs; may be shared by threads.

    It is opened and run once on zeros when it is made: that shows that it can be run within the
    limits, and gives what is declared.

    Args:
        graph: serialized ModelProto, checked.
        name: what errors call it.
        externals: arrays of the external initializers, by name; they are copied.
        inputs, outputs: of the graph.
        disabled: onnxruntime's optimizers that it goes without.
        stop: when opening it has to end.

    Raises:
        ModelFormatError: onnxruntime does not take the graph, or it gives something else than is
            declared.
        DeviceFault: its process ended while it was opened.
        CapacityError: it needs more memory or time than it may have.
        DeadlineExceeded: `stop`.
    """

    def __init__(
        self,
        worker: Worker,
        graph: bytes,
        name: str,
        externals: Mapping[str, AnyArray],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        disabled: Sequence[str],
        stop: Stop,
    ) -> None:
        self._worker, self._name = worker, name
        description = Description(
            name=name,
            graph_bytes=len(graph),
            constants=layout.items_of(externals),
            inputs=_items(inputs),
            outputs=_items(outputs),
            threads=worker.threads,
            disabled=tuple(disabled),
            run_cpu_s=RUN_CPU_S * worker.threads,
            memory_bytes=MEMORY_BYTES,
        )
        edges = sum(item.size_bytes for item in (*description.inputs, *description.outputs))
        if edges > MAX_EDGE_BYTES:
            raise CapacityError(
                f"{name} has inputs and outputs of {edges} bytes, at most {MAX_EDGE_BYTES} are "
                "possible",
                hint="convert a model with smaller tensors in its CPU parts",
            )
        head = description.encoded()
        starts, size = layout.places(len(head), description)
        self._start, self._number = worker.take(size)
        self._message = self._number, len(head), size, self._start
        at = dict(zip((item.name for item in description.items), starts, strict=True))
        self._inputs = [(item, at[item.name]) for item in description.inputs]
        self._outputs = [(item, at[item.name]) for item in description.outputs]
        worker.write(self._start, np.frombuffer(head + graph, np.uint8))
        for key, value in externals.items():
            worker.write(self._start + at[key], value)
        self._opened_in = 0
        self._first_run(stop)

    def run(self, feeds: Mapping[str, AnyArray], stop: Stop | None = None) -> dict[str, AnyArray]:
        """The outputs by name.

        Raises:
            DeviceFault: onnxruntime failed, or its process ended.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`.
        """
        stop = stop or Stop()
        with self._worker.held(stop):
            self._open(stop)
            for item, at in self._inputs:
                self._worker.write(self._start + at, feeds[item.name])
            self._worker.ask(MESSAGE.pack(Kind.RUN, *self._message), self._name, stop)
            return {
                item.name: self._worker.read(self._start + at, item) for item, at in self._outputs
            }

    def _open(self, stop: Stop) -> None:
        """Open the session in the process that runs now."""
        if self._opened_in == self._worker.incarnation:
            return
        self._worker.ask(MESSAGE.pack(Kind.OPEN, *self._message), self._name, stop)
        self._opened_in = self._worker.incarnation

    def _first_run(self, stop: Stop) -> None:
        """A run on zeros: what the graph gives is what was declared, and the limits hold."""
        zeros = {item.name: np.zeros(item.shape, item.dtype) for item, _ in self._inputs}
        with self._worker.held(stop):
            self._open(stop)
        with contextlib.suppress(DeviceFault):  # zeros need not be what it can be computed with
            self.run(zeros, stop)


def _items(specs: Sequence[TensorSpec]) -> layout.Items:
    return tuple(Item(spec.name, spec.dtype.numpy.name, spec.shape) for spec in specs)
