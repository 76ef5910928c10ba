"""The float model on the same pixels: what the board's answer is held against."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from bpu_common.image import encode_rgb
from bpu_common.tensor import U8, DType, InputType, Layout, ModelInput, TensorSpec
from demo.subject import Subject

F32 = NDArray[np.float32]


def run(subject: Subject, rgb: U8) -> list[F32]:
    """Outputs of the float model for one RGB picture (H, W, 3) of the input's size."""
    model = onnx.load(subject.path)
    constants = {initializer.name for initializer in model.graph.initializer}
    for value in model.graph.input:
        if value.name == subject.input_name:
            for dim, size in zip(value.type.tensor_type.shape.dim, subject.shape, strict=True):
                dim.dim_value = size
    unused = {v.name for v in model.graph.input} - constants - {subject.input_name}
    for value in [v for v in model.graph.input if v.name in unused]:
        model.graph.input.remove(value)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    fed = {subject.input_name: prepared(subject, rgb)}
    return [np.asarray(value) for value in session.run(None, fed)]


def prepared(subject: Subject, rgb: U8) -> F32:
    """The pixels as the network was trained on them: float32 of `subject.shape`."""
    layout = Layout(subject.layout)
    channels = subject.shape[1] if layout is Layout.NCHW else subject.shape[3]
    spec = TensorSpec(subject.input_name, (1, *subject.size_hw, channels), DType.INT8, Layout.NHWC)
    pixels = encode_rgb(rgb, ModelInput(spec, InputType(subject.train_type), layout))
    x = pixels.astype(np.float32)
    if subject.mean:
        x = x - _per_channel(subject.mean, layout)
    if subject.scale:
        x = x * _per_channel(subject.scale, layout)
    return x


def cosine(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Cosine of the angle between two arrays of the same size."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(x @ y / max(float(np.linalg.norm(x) * np.linalg.norm(y)), 1e-30))


def _per_channel(text: str, layout: Layout) -> F32:
    values = np.asarray([float(v) for v in text.split()], np.float32)
    return values.reshape((1, -1, 1, 1) if layout is Layout.NCHW else (1, 1, 1, -1))
