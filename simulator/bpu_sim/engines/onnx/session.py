"""onnxruntime sessions as every engine makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from bpu_common.errors import DeviceFault, ModelFormatError
from bpu_common.tensor import AnyArray

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
        self._externals = {key: np.ascontiguousarray(value) for key, value in externals.items()}
        options = session_options(threads)
        if self._externals:
            values = [ort.OrtValue.ortvalue_from_numpy(each) for each in self._externals.values()]
            options.add_external_initializers(list(self._externals), values)
        self._session = make_session(graph, options, name, disabled)

    def run(self, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """The outputs by name.

        Raises:
            DeviceFault: onnxruntime failed.
        """
        try:
            made = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise DeviceFault(f"{self._name} failed: {first_line(error)}") from error
        return dict(zip(self._outputs, made, strict=True))


def session_options(threads: int) -> Any:  # noqa: ANN401 onnxruntime has no types
    """Options of every session on the board: given threads that spin only while a frame runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails raises an exception with the same text
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
    """
    try:
        return ort.InferenceSession(
            bytes(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(disabled),
        )
    except Exception as error:
        raise ModelFormatError(
            f"{name} cannot be run: {first_line(error)}",
            hint="convert the model again with this version",
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an onnxruntime message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
