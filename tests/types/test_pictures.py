"""Pictures for inputs that a model declares as other than float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container
from bpu_common.frame import as_frame_inputs
from bpu_common.image import encode_rgb
from bpu_common.tensor import DType, InputType, Layout
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from tests.support.graphs_typed import ELEMENT_TYPES, Array, Graph, cast, node
from tests.support.nets_front import run
from tests.support.nets_quant import sqnr_db

FLOAT = TensorProto.FLOAT
PIXEL_TYPES = ("uint8", "int32", "int64", "uint16", "float16", "float64")


def converted(
    folder: Path, model: onnx.ModelProto, layout: Layout = Layout.NCHW
) -> tuple[Compiled, float]:
    """An rgb picture as input x: the conversion, and how near the `.bin` is to the file."""
    shape = (1, 3, 10, 12) if layout is Layout.NCHW else (1, 10, 12, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (folder / "cal").mkdir()
    pixels.tofile(folder / "cal" / "0.bin")
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    config = InputConfig(
        "x", shape, InputType.RGB, layout, InputType.RGB, Layout.NHWC,
        cal_data_dir=folder / "cal", cal_data_type=DType.UINT8,
    )  # fmt: skip
    compiled = compile_model(
        CompileConfig(
            path, "net", folder / "out", (config,), calibration_method=CalibrationMethod.MAX
        )
    )
    (bpu,) = container.loads((folder / "out" / "net.bin").read_bytes())
    hwc = pixels[0] if layout is Layout.NHWC else pixels[0].transpose(1, 2, 0)
    given = encode_rgb(np.ascontiguousarray(hwc), bpu.inputs[0])
    made = ModelNumbers(bpu, 1).outputs(as_frame_inputs({"x": given}))
    kind = onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    reals = run(model, {"x": pixels.astype(kind)})
    pairs: list[tuple[Array, Array]] = list(zip(reals, made.values(), strict=True))
    return compiled, min(sqnr_db(real, array) for real, array in pairs)


@pytest.mark.parametrize("dtype", PIXEL_TYPES)
def test_casted_pixels_stay_on_the_bpu(dtype: str, tmp_path: Path) -> None:
    g = Graph(x=np.zeros((1, 3, 10, 12), dtype))
    g.first.input[0] = "f"
    compiled, near_db = converted(tmp_path, g.model([cast("x", "f"), g.first], {"a": FLOAT}))
    assert {each.on for each in compiled.nodes} == {"BPU"}
    assert near_db > 30


@pytest.mark.parametrize("dtype", PIXEL_TYPES)
def test_turned_pixels_stay_on_the_bpu(dtype: str, tmp_path: Path) -> None:
    """NHWC, as exporters of TensorFlow write it."""
    g = Graph(x=np.zeros((1, 10, 12, 3), dtype))
    g.first.input[0] = "f"
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), cast("t", "f"), g.first]
    compiled, near_db = converted(tmp_path, g.model(nodes, {"a": FLOAT}), Layout.NHWC)
    assert {each.on for each in compiled.nodes} == {"BPU"}
    assert near_db > 30


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_other_readers_get_whole_numbers(dtype: str, tmp_path: Path) -> None:
    g = Graph(x=np.zeros((1, 3, 10, 12), dtype))
    g.first.input[0] = "f"
    nodes = [
        cast("x", "f"),
        g.first,
        node("Concat", "x x", "both", axis=1),
    ]
    model = g.model(nodes, {"a": FLOAT, "both": ELEMENT_TYPES[dtype]})
    _, near_db = converted(tmp_path, model)
    assert near_db > 30
