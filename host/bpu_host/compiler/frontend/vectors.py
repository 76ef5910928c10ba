"""How long the tensors of one axis are, counted before ONNX follows their values.

Its shape inference takes every such tensor for a shape and writes it out, at some 80 bytes an
element: a hundred bytes of a file may ask for gigabytes.
"""

from __future__ import annotations

import onnx
import onnx.shape_inference

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.protos import without_weights

MAX_ELEMENTS = 1 << 22
"""Of all of them: 300 MB while their values are followed. Shapes have a few, flat outputs some
hundred thousand."""


def check_vectors(model: onnx.ModelProto, file: str) -> None:
    """Count the elements of tensors with one axis whose size does not depend on values.

    A model with broken nodes passes: look again when its nodes have been checked.

    Raises:
        ModelUnsupported: too many; `where` is the longest.
    """
    try:
        graph = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    except Exception:  # noqa: BLE001  a broken node: the checks of nodes tell it by name
        return
    sizes = {
        value.name: value.type.tensor_type.shape.dim[0].dim_value
        for value in (*graph.input, *graph.value_info, *graph.output)
        if len(value.type.tensor_type.shape.dim) == 1
    }
    if (count := sum(sizes.values())) > MAX_ELEMENTS:
        longest = max(sizes, key=lambda name: sizes[name])
        raise ModelUnsupported(
            f"its tensors of one axis have {count} elements together, at most {MAX_ELEMENTS} can "
            "be converted",
            where=f"{file}: tensor '{longest}'",
            hint="export the model with these tensors as constants, or end it before them",
        )
