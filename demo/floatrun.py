"""The float model on the same pixels: what the board's answer is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

F32 = NDArray[np.float32]
DEFAULT_SIZE = 224


class Preparation(Protocol):
    """How a network wants its pixels: channel order, then (x - mean) * scale."""

    @property
    def train_type(self) -> str: ...
    @property
    def mean(self) -> str: ...
    @property
    def scale(self) -> str: ...


def image_input(path: Path) -> tuple[str, tuple[int, int, int, int]]:
    """Name and NCHW shape of the model's image input; unknown sizes become 1 or 224."""
    graph = onnx.load(path, load_external_data=False).graph
    constants = {initializer.name for initializer in graph.initializer}
    for value in graph.input:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.name not in constants and len(dims) == 4:
            n, c, h, w = dims
            return value.name, (n or 1, c or 3, h or DEFAULT_SIZE, w or DEFAULT_SIZE)
    raise SystemExit(f"error: {path} has no 4-D input")


def run(
    path: Path,
    input_name: str,
    shape_nchw: tuple[int, int, int, int],
    rgb: NDArray[np.uint8],
    preparation: Preparation,
) -> list[F32]:
    """Outputs of the float model for one RGB picture (H, W, 3) of the input's size."""
    model = onnx.load(path)
    constants = {initializer.name for initializer in model.graph.initializer}
    for value in model.graph.input:
        if value.name == input_name:
            for dim, size in zip(value.type.tensor_type.shape.dim, shape_nchw, strict=True):
                dim.dim_value = size
    unused = {v.name for v in model.graph.input} - constants - {input_name}
    for value in [v for v in model.graph.input if v.name in unused]:
        model.graph.input.remove(value)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    pixels = rgb[..., ::-1] if preparation.train_type == "bgr" else rgb
    x = pixels.astype(np.float32).transpose(2, 0, 1)[None]
    if preparation.mean:
        x = x - _per_channel(preparation.mean)
    if preparation.scale:
        x = x * _per_channel(preparation.scale)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return [np.asarray(value) for value in session.run(None, {input_name: x})]


def cosine(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Cosine of the angle between two arrays of the same size."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(x @ y / max(float(np.linalg.norm(x) * np.linalg.norm(y)), 1e-30))


def _per_channel(text: str) -> F32:
    return np.asarray([float(v) for v in text.split()], np.float32).reshape(1, -1, 1, 1)
