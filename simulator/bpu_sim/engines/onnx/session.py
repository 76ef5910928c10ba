"""onnxruntime sessions as every engine makes them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from bpu_common.errors import BpuError, CapacityError, DeviceFault, ModelFormatError
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray

logger = logging.getLogger(__name__)

SILENT = 4
"""onnxruntime's severity above all it says: what fails raises an exception with the same text."""
# Its kernels speak through the process's logger, whatever the options of their session are.
ort.set_default_logger_severity(SILENT)

UNSOUND_OPTIMIZERS = ("TransposeOptimizer_CPUExecutionProvider",)
"""onnxruntime's rewrites that break float graphs: this one moves Transpose behind Resize, and then
refuses its own result (cubic below 1, `axes`). Compiler and board go without them alike."""


class Session:
    """An onnxruntime session of a graph; may be shared by threads.

    Args:
        graph: serialized ModelProto.
        name: what errors call it.
        outputs: the graph outputs it gives.
        externals: arrays of the external initializers, by name; used in place and kept alive.
        threads: onnxruntime's threads within an operator.
        disabled: onnxruntime's optimizers that it goes without.

    Raises:
        ModelFormatError: onnxruntime does not take the graph.
        CapacityError: there is not enough memory for it.
    """

    def __init__(
        self,
        graph: bytes | memoryview,
        name: str,
        outputs: Sequence[str],
        externals: Mapping[str, AnyArray],
        threads: int,
        disabled: Sequence[str] = (),
    ) -> None:
        self._name = name
        self._outputs = list(outputs)
        self._externals = {key: np.asarray(value, order="C") for key, value in externals.items()}
        options = session_options(threads)
        if self._externals:
            values = [ort.OrtValue.ortvalue_from_numpy(each) for each in self._externals.values()]
            options.add_external_initializers(list(self._externals), values)
        self._session = make_session(graph, options, name, disabled)

    def run(self, feeds: Mapping[str, AnyArray], stop: Stop | None = None) -> dict[str, AnyArray]:
        """The outputs by name; a run that has begun goes to its end.

        Raises:
            DeviceFault: onnxruntime failed.
            CapacityError: it got no memory.
            Cancelled, DeadlineExceeded: `stop`, before the run.
        """
        if stop is not None:
            stop.check()
        try:
            made = self._session.run(self._outputs, feeds)
        except Exception as error:
            if _NO_MEMORY.search(str(error)) or isinstance(error, MemoryError):
                raise no_memory(self._name) from error
            sentence, node = explain(error)
            raise DeviceFault(f"{self._name} failed: {sentence}", where=node) from error
        return dict(zip(self._outputs, made, strict=True))


def session_options(threads: int) -> Any:  # noqa: ANN401 onnxruntime has no types
    """Options of every session on the board: given threads that spin only while a frame runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def make_session(
    graph: bytes | memoryview,
    options: Any,  # noqa: ANN401
    name: str,
    disabled: Sequence[str],
) -> Any:  # noqa: ANN401
    """An onnxruntime session of a checked graph.

    Raises:
        ModelFormatError: onnxruntime does not take it.
        CapacityError: there is not enough memory for it.
    """
    try:
        return ort.InferenceSession(
            bytes(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(disabled),
        )
    except Exception as error:
        if _NO_MEMORY.search(str(error)) or isinstance(error, MemoryError):
            raise no_memory(name) from error
        sentence, node = explain(error)
        raise ModelFormatError(
            f"{name} cannot be run: {sentence}",
            where=node,
            hint="convert the model again with this version",
        ) from error


_NO_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate memory|bad array new length")


def no_memory(name: str) -> BpuError:
    """The error of a graph that asks for more memory than it gets."""
    return CapacityError(
        f"{name} needs more memory than it may have",
        hint="convert a model with smaller tensors in its CPU parts",
    )


_CAUSES = (
    (
        re.compile(r"implementation for (?P<op>\w+)\(\d+\) node with name '(?P<node>.*?)'"),
        "onnxruntime does not compute this operator for these element types",
    ),
    (
        re.compile(r"running (?P<op>\w+) node. Name:'(?P<node>.*?)'"),
        "the operator cannot be computed with these values",
    ),
    (
        re.compile(r"of operator \((?P<op>\w+)\) in node \((?P<node>.*?)\)"),
        "the operator does not take an input of this type",
    ),
    (
        re.compile(r"Node \((?P<node>.*?)\) Op \((?P<op>\w+)\)"),
        "the shapes of its inputs do not fit",
    ),
    (
        re.compile(r"Got invalid dimensions for input: (?P<input>\S+)"),
        "an input has other dimensions than the model declares",
    ),
)
"""What onnxruntime's messages look like, and what they mean."""


def explain(error: Exception) -> tuple[str, str]:
    """What an onnxruntime error means, and the place it names: a node, an input or none.

    Its own words, which are about its own code, go to the log.
    """
    text = str(error)
    logger.debug("onnxruntime says: %s", text)
    for pattern, sentence in _CAUSES:
        if found := pattern.search(text):
            named = found.groupdict()
            place = f"input '{named['input']}'" if "input" in named else ""
            return sentence, place or f"node {named['node']} ({named['op']})"
    return "onnxruntime refuses the graph (the log has its words)", ""
