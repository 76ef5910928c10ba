"""A BPU segment by onnxruntime: the arithmetic of its program, bit for bit, at full speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from bpu_common.errors import DeviceFault, InputError, ModelFormatError
from bpu_common.image import network_input
from bpu_common.model import BpuSegment
from bpu_common.tensor import AnyArray, ModelInput
from bpu_sim.engines.onnx.check import check_graph
from bpu_sim.engines.onnx.session import first_line, make_session, session_options


class FastSegment:
    """Runs one BPU segment; may be shared by threads. The session is made once, when constructed.

    Args:
        segment: its weights are read in place and kept alive.
        inputs: the model's inputs by tensor name; image inputs among them are fed with raw bytes.
        threads: onnxruntime's threads within an operator.

    Raises:
        ModelFormatError: the graph is not allowed, or its constants lie outside the weights.
    """

    def __init__(
        self, segment: BpuSegment, inputs: Mapping[str, ModelInput], threads: int = 1
    ) -> None:
        self._segment = segment
        self._images = {
            name: inputs[name]
            for name in segment.inputs
            if name in inputs and inputs[name].input_type.is_image
        }
        info = check_graph(segment.fast_path, [each.name for each in segment.constants])
        if set(info.inputs) != set(segment.inputs) or set(info.outputs) != set(segment.outputs):
            raise ModelFormatError(
                f"segment {segment.name}: inputs or outputs of its fast path are not its own"
            )
        options = session_options(threads)
        self._constants = _constants(segment)
        if self._constants:
            names = [each.name for each in segment.constants]
            options.add_external_initializers(names, [value for value, _ in self._constants])
        self._session = make_session(segment.fast_path, options, segment.name)

    def run(self, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """One frame.

        Args:
            arrays: raw uint8 in the caller's form for image inputs, else int8 (1, H, W, C).

        Returns:
            int8 or int32 (1, H, W, C), unpadded, by tensor name.

        Raises:
            InputError: an input is missing or does not fit.
            DeviceFault: onnxruntime failed.
        """
        feeds: dict[str, AnyArray] = {}
        for name in self._segment.inputs:
            if name not in arrays:
                raise InputError(f"segment {self._segment.name}: input {name!r} is missing")
            array = arrays[name]
            image = self._images.get(name)
            if image is not None:
                array = network_input(array, image)
            feeds[name] = np.ascontiguousarray(array)
        outputs = list(self._segment.outputs)
        try:
            made = self._session.run(outputs, feeds)
        except Exception as error:
            raise DeviceFault(
                f"segment {self._segment.name} failed: {first_line(error)}"
            ) from error
        return dict(zip(outputs, made, strict=True))


def _constants(segment: BpuSegment) -> list[tuple[Any, AnyArray]]:
    """OrtValues over the weights, each with the array that owns its memory."""
    weights = np.frombuffer(segment.weights, np.uint8)
    found: list[tuple[Any, AnyArray]] = []
    for each in segment.constants:
        size = int(np.prod(each.shape, dtype=np.int64)) * each.dtype.size_bytes
        end = each.offset_bytes + size
        if min(each.shape, default=1) < 0 or each.offset_bytes < 0 or end > weights.size:
            raise ModelFormatError(
                f"segment {segment.name}: constant {each.name!r} lies outside the weights"
            )
        array = weights[each.offset_bytes : end].view(each.dtype.numpy).reshape(each.shape)
        found.append((ort.OrtValue.ortvalue_from_numpy(array), array))
    return found
