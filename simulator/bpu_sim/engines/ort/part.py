"""Operations of a network in onnxruntime: one session, another where inner tensors are kept."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bpu_common.network import Network, OnnxOp, Operation, tensors_made
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray
from bpu_sim.engines.contained import ContainedSession, Worker
from bpu_sim.engines.onnx.check import check_graph
from bpu_sim.engines.onnx.session import UNSOUND_OPTIMIZERS, Session
from bpu_sim.engines.ort.caches import machine_sizes
from bpu_sim.engines.ort.graph import write_graph
from bpu_sim.engines.ort.plans import Plans


class OrtPart:
    """Runs operations of a network in onnxruntime; may be shared by threads.

    Args:
        name: of the part, for errors.
        ops: in topological order; no custom ones.
        inputs: tensors read and not made here, without constants.
        outputs: tensors made here that others read.
        threads: onnxruntime's threads within an operator.
        worker: runs operators that come out of a file; None: this process does.

    Raises:
        ModelFormatError: the operations hold what may not be run, or onnxruntime refuses them.
        CapacityError: they need more memory or time than they may have.
    """

    def __init__(
        self,
        name: str,
        ops: Sequence[Operation],
        network: Network,
        plans: Plans,
        inputs: Sequence[str],
        outputs: Sequence[str],
        threads: int,
        worker: Worker | None = None,
    ) -> None:
        self._name, self._ops, self._network, self._plans = name, ops, network, plans
        self._inputs, self._outputs, self._threads = inputs, tuple(outputs), threads
        self._worker = worker
        self._made = {tensor for op in ops for tensor in tensors_made(op)}
        opening = Stop() if worker is None else worker.opening
        self._session = self._make(self._outputs, opening)
        self._kept: tuple[tuple[str, ...], Session | ContainedSession] | None = None
        self._lock = threading.Lock()

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> dict[str, AnyArray]:
        """The outputs and the tensors of `keep` that are made here.

        Kept tensors come out of a session of their own. So what is kept changes no output, though
        a float operator may round otherwise there than where onnxruntime fuses it with the next.

        Raises:
            DeviceFault: onnxruntime failed.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`; a session of this process is not stopped.
        """
        feeds = {name: np.asarray(values[name], order="C") for name in self._inputs}
        made = self._session.run(feeds, stop)
        inner = tuple(sorted(self._made.intersection(keep).difference(self._outputs)))
        if inner:
            made.update(self._keeping(inner, stop or Stop()).run(feeds, stop))
        return made

    def _keeping(self, inner: tuple[str, ...], stop: Stop) -> Session | ContainedSession:
        """The session that gives inner tensors; the last one is remembered."""
        with self._lock:
            if self._kept is None or self._kept[0] != inner:
                self._kept = (inner, self._make(inner, stop))
            return self._kept[1]

    def _make(self, outputs: tuple[str, ...], stop: Stop) -> Session | ContainedSession:
        graph = write_graph(
            self._ops, self._network, self._plans, self._inputs, outputs, machine_sizes()
        )
        if not any(isinstance(op, OnnxOp) for op in self._ops):  # the only bytes from elsewhere
            return Session(graph.data, self._name, outputs, graph.externals, self._threads)
        check_graph(graph.data, graph.externals)
        data, externals, disabled = graph.data, graph.externals, UNSOUND_OPTIMIZERS
        if self._worker is None:
            return Session(data, self._name, outputs, externals, self._threads, disabled)
        tensors = self._network.tensors
        inputs, made = ([tensors[name] for name in names] for names in (self._inputs, outputs))
        return ContainedSession(
            self._worker, data, self._name, externals, inputs, made, disabled, stop
        )
