"""How often a conversion makes onnxruntime load the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime
import pytest

from bpu_common.environment import KERNELS
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from tests.support.nets_front import Net


def test_one_session_per_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the original float model against it; the optimized one for calibration, for
    `default` the networks it ranks; both forms for the similarity; the board's engine.
    """
    monkeypatch.setenv(KERNELS.name, "onnxruntime")  # compiled kernels need no session
    opened: list[object] = []
    real = onnxruntime.InferenceSession

    def session(*arguments: object, **options: object) -> object:
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    net = Net([1, 3, 16, 16])  # nothing in it is folded
    x = net.add("Relu", net.conv("data", (3, 4), name="first"))
    onnx.save(net.model(net.conv(x, (4, 4), name="last")), tmp_path / "net.onnx")
    item = InputConfig(
        "data", (1, 3, 16, 16), InputType.RGB, Layout.NCHW, InputType.NV12, Layout.NHWC
    )
    config = CompileConfig(tmp_path / "net.onnx", "net", tmp_path / "out", (item,))
    counts = {}
    for method in CalibrationMethod:
        opened.clear()
        compile_model(replace(config, calibration_method=method))
        counts[method.value] = len(opened)
    assert counts == {"default": 11, "kl": 7, "max": 7}
