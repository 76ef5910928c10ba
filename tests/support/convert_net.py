"""A float network through the whole compiler, and its `.bin` run in every form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container
from bpu_common.frame import as_frame_inputs
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_host.compiler.products import ProductNames
from tests.support.nets_front import Array, run
from tests.support.nets_quant import sqnr_db

PREFIX = "net"


@dataclass(frozen=True)
class Converted:
    """A conversion with featuremap input `data` and the samples it was calibrated with.

    Attributes:
        reals: outputs of the float model for the first sample.
    """

    compiled: Compiled
    folder: Path
    feeds: Mapping[str, Array]
    reals: list[Array]

    @property
    def on(self) -> dict[str, str]:
        """BPU or CPU by name of the node table."""
        return {node.name: node.on for node in self.compiled.nodes}

    def run(self) -> list[Array]:
        """Outputs of the file: instructions, fast path and quantized ONNX give the same bits."""
        (model,) = container.loads((self.folder / f"{PREFIX}.bin").read_bytes())
        numbers = ModelNumbers(model, 1)
        inputs = as_frame_inputs(self.feeds)
        numbers.inspect(inputs, exact=True)  # raises where the instructions differ
        made = numbers.outputs(inputs)
        quantized = self.folder / ProductNames.of_prefix(PREFIX).quantized
        session = ort.InferenceSession(str(quantized), providers=["CPUExecutionProvider"])
        other = session.run(None, dict(self.feeds))
        for spec, array in zip(model.outputs, other, strict=True):
            np.testing.assert_array_equal(made[spec.name], array)
        return [made[spec.name] for spec in model.outputs]

    def sqnr_db(self) -> float:
        """Signal to noise of the worst output of the file against the float model."""
        return min(sqnr_db(a, b) for a, b in zip(self.reals, self.run(), strict=True))


def convert(
    folder: Path, model: onnx.ModelProto, *, count: int = 2, seed: int = 0, measure: bool = False
) -> Converted:
    """Convert a model whose one input is `data`, calibrated with normal numbers."""
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    samples = folder / "samples"
    samples.mkdir(parents=True)
    random = np.random.default_rng(seed)
    arrays = [random.normal(0, 1, shape).astype(np.float32) for _ in range(count)]
    for index, array in enumerate(arrays):
        (samples / f"{index}.bin").write_bytes(array.tobytes())
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    feed = InputConfig(
        "data",
        shape,
        InputType.FEATUREMAP,
        Layout.NCHW,
        InputType.FEATUREMAP,
        Layout.NCHW,
        cal_data_dir=samples,
    )
    config = CompileConfig(
        path, PREFIX, folder / "out", (feed,), calibration_method=CalibrationMethod.MAX
    )
    compiled = compile_model(config, measure=measure)
    feeds = {"data": arrays[0]}
    return Converted(compiled, folder / "out", feeds, run(model, feeds))
