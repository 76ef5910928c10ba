"""Points of the vendor's chapter that docs/conformance-parts.md calls working in another form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bpu_common.network import Place
from bpu_common.tensor import InputSource, InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig, load_config
from bpu_host.compiler.products import ProductNames
from tests.support.convert_net import convert
from tests.support.nets_front import Net
from tests.support.yaml_front import write

N = "input_parameters."


@pytest.mark.parametrize(
    ("board", "trained", "source"),
    [
        ("nv12", "rgb", InputSource.PYRAMID),
        ("gray", "gray", InputSource.PYRAMID),
        ("rgb", "rgb", InputSource.DDR),
        ("yuv444", "bgr", InputSource.DDR),
        ("featuremap", "featuremap", InputSource.DDR),
    ],
)
def test_source_of_an_input_by_its_type(
    tmp_path: Path, board: str, trained: str, source: InputSource
) -> None:
    given = {
        N + "input_type_rt": board,
        N + "input_type_train": trained,
        N + "norm_type": "no_preprocess",
    }
    assert load_config(write(tmp_path, given)).inputs[0].source is source


@pytest.mark.parametrize("picture", [True, False])
@pytest.mark.parametrize("layout", list(Layout))
def test_inputs_of_the_quantized_model(tmp_path: Path, layout: Layout, picture: bool) -> None:
    """NHWC int8 of a picture, whatever the training's layout; a featuremap stays as it is."""
    nhwc = layout is Layout.NHWC
    shape = (1, 12, 16, 3) if nhwc else (1, 3, 12, 16)
    net = Net(shape)
    x = net.add("Transpose", "data", perm=[0, 3, 1, 2]) if nhwc else "data"
    onnx.save(net.model(net.conv(x, (3, 4))), tmp_path / "net.onnx")
    trained = InputType.RGB if picture else InputType.FEATUREMAP
    given = InputType.NV12 if picture else InputType.FEATUREMAP
    on_board = Layout.NHWC if picture else layout
    item = InputConfig("data", shape, trained, layout, given, on_board)
    names = ProductNames.of_prefix("net")
    method = CalibrationMethod.MAX
    compile_model(
        CompileConfig(tmp_path / "net.onnx", "net", tmp_path, (item,), calibration_method=method),
        names=names,
        measure=False,
    )
    (found,) = onnx.load(tmp_path / names.quantized).graph.input
    made = tuple(each.dim_value for each in found.type.tensor_type.shape.dim)
    assert made == ((1, 12, 16, 3) if picture else shape)
    kind = TensorProto.INT8 if picture else TensorProto.FLOAT
    assert found.type.tensor_type.elem_type == kind


def test_blocks_of_vargnet_are_one_part(tmp_path: Path) -> None:
    """Convolutions with eight channels a group, which widen and narrow, and a shortcut."""
    net = Net([1, 3, 32, 32])
    x = net.add("Relu", net.conv("data", (3, 32), name="stem", strides=[2, 2]))
    for block in "ab":
        y = net.add("Relu", net.conv(x, (32, 64), name=f"{block}_wide", group=4))
        y = net.add("Relu", net.conv(y, (64, 32), 1, name=f"{block}_narrow"))
        y = net.add("Relu", net.conv(y, (32, 64), name=f"{block}_again", group=4))
        y = net.conv(y, (64, 32), 1, name=f"{block}_back")
        x = net.add("Relu", net.add("Add", x, y, name=f"{block}_sum"))
    found = convert(tmp_path, net.model(net.conv(x, (32, 4), 1, name="last")))
    assert set(found.on.values()) == {"BPU"}
    assert [part.place for part in found.compiled.network.parts].count(Place.BPU) == 1
    assert found.sqnr_db() > 25
    assert np.isfinite(found.run()[0]).all()
