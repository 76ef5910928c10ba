"""The user's own model file, run as it is on one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun import FloatRunner
from bpu_host.compiler.quantize.metrics import relative_error
from bpu_host.compiler.weights import Weights

_NUDGE = 2.0**-18
_NUDGES = 2
_NOISE_FACTOR = 10.0


class OwnModel:
    """The graph of a file, its inputs for one sample, and what it computes of them.

    Args:
        proto: as it was read; nobody changes it.
        feeds: its inputs by name.
        outputs: the tensors that the conversion gives; others are not compared.
        weights: constants that `proto` refers to.

    Attributes:
        outputs: their values, by name.

    Raises:
        FloatRunFailed: onnxruntime does not run the file.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        feeds: Mapping[str, AnyArray],
        outputs: Sequence[str],
        weights: Weights = (),
    ) -> None:
        self._weights = weights
        self._model, self._feeds = _static(proto, feeds)
        self._makers = {name: node for node in proto.graph.node for name in node.output if name}
        self.outputs: Mapping[str, AnyArray] = self._run(outputs, self._feeds)

    def maker(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes a tensor."""
        return self._makers.get(tensor)

    def fetch(self, names: Sequence[str]) -> Mapping[str, AnyArray]:
        """Those of these tensors that the model's nodes make, by name.

        Raises:
            FloatRunFailed: onnxruntime does not run the file.
        """
        return self._run(names, self._feeds)

    def noise(self, names: Sequence[str]) -> dict[str, float]:
        """How far these tensors may be off and still be right, as `relative_error`.

        The model against itself with inputs moved by a few units in their last places: what that
        changes (a step that is crossed, a random number) tells no error from right arithmetic.
        """
        real = self._run(names, self._feeds)
        found = dict.fromkeys(real, 0.0)
        random = np.random.default_rng(0)
        for _ in range(_NUDGES):
            moved = {name: _nudged(array, random) for name, array in self._feeds.items()}
            for name, array in self._run(names, moved).items():
                error = relative_error(real[name], array)
                found[name] = max(found[name], _NOISE_FACTOR * error)
        return found

    def _run(self, names: Sequence[str], feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        wanted = [name for name in names if name in self._makers]
        del self._model.graph.output[:]
        self._model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        # Without optimizations, which now and then change more than the last bits.
        if not wanted:
            return {}
        return FloatRunner(self._model, optimize=False, weights=self._weights).run(feeds)


def _nudged(array: AnyArray, random: np.random.Generator) -> AnyArray:
    if not np.issubdtype(array.dtype, np.floating):
        return array
    factor = 1 + random.uniform(-_NUDGE, _NUDGE, array.shape)
    moved: AnyArray = (array.astype(np.float64) * factor).astype(array.dtype)
    return moved


def _static(
    proto: onnx.ModelProto, feeds: Mapping[str, AnyArray]
) -> tuple[onnx.ModelProto, dict[str, AnyArray]]:
    """The model for inputs of just these shapes, and the inputs in its element types."""
    inputs, typed = [], {}
    for value in proto.graph.input:
        kind = value.type.tensor_type.elem_type
        array = feeds.get(value.name)
        if array is None:
            inputs.append(value)
            continue
        typed[value.name] = array.astype(helper.tensor_dtype_to_np_dtype(kind), copy=False)
        inputs.append(helper.make_tensor_value_info(value.name, kind, array.shape))
    graph = helper.make_graph(
        proto.graph.node, proto.graph.name or "main_graph", inputs, [], proto.graph.initializer
    )
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    model = onnx.ModelProto(
        ir_version=proto.ir_version,
        opset_import=proto.opset_import,
        functions=proto.functions,
        graph=graph,
    )
    return model, typed
