"""The float products against the user's own file, on one sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from bpu_common.errors import ModelUnsupported
from bpu_common.tensor import AnyArray
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.frontend.halves import half_types
from bpu_host.compiler.quantize.metrics import relative_error
from bpu_host.compiler.verify.own import OwnModel
from bpu_host.compiler.weights import Weights

MAX_ERROR = 1e-3
"""For float32. Its noise stays far below, 1e-4 in the worst of known networks; a wrong rule of one
operator far above: a shifted map, another rounding, a wrong border of one row."""

_HALF_ERRORS: dict[int, float] = {
    onnx.TensorProto.FLOAT16: 2.0**-7,
    onnx.TensorProto.BFLOAT16: 2.0**-4,
}
"""For files that compute in shorter floats, eight units in the last place: products round less."""

_CHUNK = 32
"""Inner tensors fetched at once in the search for the first node that differs."""

Feeds = Mapping[str, AnyArray]


def check_original(
    file: onnx.ModelProto,
    original: onnx.ModelProto,
    sample: Feeds,
    own_inputs: Mapping[str, str],
    weights: tuple[Weights, Weights] = ((), ()),
) -> tuple[FileCheck | None, tuple[Finding, ...]]:
    """Run the file as it was given, and the original float product, on one sample.

    Args:
        file: as it was read.
        own_inputs: the tensor of `original` that holds the file's input, by the input's name.
        weights: constants that `file` and `original` refer to.

    Returns:
        What the next products are held against, None if the file or the product cannot be run;
        and then a finding that says so. (Calibration names the tensor if its shape is the reason.)

    Raises:
        ModelUnsupported: the product computes something else; names the node.
    """
    outputs = [value.name for value in original.graph.output]
    try:
        first = run_floats(original, sample, [*own_inputs.values()], weights[1])
        feeds = {name: first[tensor] for name, tensor in own_inputs.items()}
        own = OwnModel(file, feeds, outputs, weights[0])
        check = FileCheck(own, sample, outputs, _most_error(file))
    except FloatRunFailed as error:
        finding = Finding(
            "the model file",
            f"cannot be run as it is, so no product was held against it: "
            f"{error.message}{f' ({error.where})' if error.where else ''}",
            "compare the original float model with the framework that the model comes from",
        )
        return None, (finding,)
    check.product(original, "original float model", first, weights[1])
    return check, ()


def _most_error(file: onnx.ModelProto) -> float:
    return max((_HALF_ERRORS[kind] for kind in half_types(file)), default=MAX_ERROR)


class FileCheck:
    """Holds products against the file on one sample.

    Args:
        outputs: names of the file's tensors that all products give, in order.
        most_error: relative error that arithmetic explains.
    """

    def __init__(
        self, own: OwnModel, sample: Feeds, outputs: Sequence[str], most_error: float = MAX_ERROR
    ) -> None:
        self._own, self._sample, self._outputs = own, sample, outputs
        self._most = most_error

    @property
    def outputs(self) -> Feeds:
        """What the file gives, by name; outputs that it does not have are missing."""
        return self._own.outputs

    def product(
        self, model: onnx.ModelProto, title: str, made: Feeds, weights: Weights = ()
    ) -> None:
        """See that a product computes what the file does.

        Args:
            title: what it is called.
            made: its outputs by its own names.
            weights: constants that it refers to.

        Raises:
            ModelUnsupported: it does not; names the first node that differs.
            FloatRunFailed: it cannot be run.
        """
        names = [value.name for value in model.graph.output]
        twins = zip(self._outputs, names, strict=True)
        wrong = self._wrong({name: made[twin] for name, twin in twins}, lambda _: self.outputs)
        if not wrong:
            return
        inner = [name for node in model.graph.node for name in node.output]
        inner = [name for name in inner if self._own.maker(name)]
        for start in range(0, len(inner), _CHUNK):
            chunk = inner[start : start + _CHUNK]
            values = run_floats(model, self._sample, chunk, weights)
            found = self._wrong({name: values[name] for name in chunk}, self._own.fetch)
            if found:
                wrong = found
                break
        tensor, amount = next(iter(wrong.items()))
        raise self._refusal(title, tensor, amount)

    def _wrong(self, made: Feeds, own: Callable[[Sequence[str]], Feeds]) -> dict[str, str]:
        """The tensors that differ by more than arithmetic explains, in order, and how, in words."""
        real = own(list(made))
        far = {
            name: relative_error(real[name], array) if real[name].shape == array.shape else _INF
            for name, array in made.items()
            if name in real and (name in self._outputs or real[name].shape == array.shape)
        }
        far = {name: error for name, error in far.items() if error > self._most}
        noise = self._own.noise(list(far)) if far else {}
        return {
            name: _words(real[name], made[name], error)
            for name, error in far.items()
            if error > noise[name]
        }

    def _refusal(self, title: str, tensor: str, amount: str) -> ModelUnsupported:
        node = self._own.maker(tensor)
        place = f"node {node.name or tensor} ({node.op_type})" if node else f"output '{tensor}'"
        return ModelUnsupported(
            f"the {title} computes something else than the file: '{tensor}' {amount}",
            where=place,
            hint="this is a fault of OpenBPU: report it with the model; exporting with opset 13 "
            "or writing the operator in another way may help meanwhile",
        )


def _words(real: AnyArray, made: AnyArray, error: float) -> str:
    """How a tensor differs from the file's."""
    if real.shape != made.shape:
        return f"has the shape {made.shape} instead of {real.shape}"
    if not np.isfinite(made[np.isfinite(real)]).all():
        return "is not finite"
    if error == _INF:
        return f"is 0 in the file and up to {np.abs(made).max():.2g} here"
    return f"is off by {error:.2g} of its spread"


_INF = float("inf")


def run_floats(
    model: onnx.ModelProto, sample: Feeds, keep: Sequence[str] = (), weights: Weights = ()
) -> dict[str, AnyArray]:
    """The outputs of a float product, and these inner tensors.

    Args:
        weights: constants that it refers to.

    Raises:
        FloatRunFailed: it cannot be run.
    """
    return FloatRunner(model, keep, optimize=False, weights=weights).run(sample)
