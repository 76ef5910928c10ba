"""A float network through the whole compiler, and its `.bin` run in every form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """A conversion with featuremap inputs and the samples it was calibrated with.

    Attributes:
        feeds: the first sample.
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
    folder: Path,
    model: onnx.ModelProto,
    *,
    count: int = 2,
    seed: int = 0,
    samples: Sequence[Mapping[str, Array]] = (),
    measure: bool = False,
    reference: onnx.ModelProto | None = None,
    **settings: Any,
) -> Converted:
    """Convert a model whose inputs are all featuremaps.

    Args:
        samples: to calibrate with, by input; without them `count` of normal numbers for the one
            input `data`.
        reference: what the results are held against; the model itself if it is not given.
        settings: of the `CompileConfig`.
    """
    if not samples:
        shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
        random = np.random.default_rng(seed)
        samples = [{"data": random.normal(0, 1, shape).astype(np.float32)} for _ in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    inputs = tuple(_featuremap(folder, name, samples) for name in samples[0])
    config = CompileConfig(
        path,
        PREFIX,
        folder / "out",
        inputs,
        calibration_method=CalibrationMethod.MAX,
        **settings,
    )
    compiled = compile_model(config, measure=measure)
    feeds = {item.tensor.name: samples[0][item.tensor.name] for item in compiled.model.inputs}
    return Converted(compiled, folder / "out", feeds, run(reference or model, feeds))


def _featuremap(folder: Path, name: str, samples: Sequence[Mapping[str, Array]]) -> InputConfig:
    """An input with a folder of raw sample files."""
    place = folder / f"samples_{name}"
    place.mkdir()
    for index, sample in enumerate(samples):
        (place / f"{index}.bin").write_bytes(sample[name].tobytes())
    kind, layout = InputType.FEATUREMAP, Layout.NCHW
    shape = samples[0][name].shape
    return InputConfig(name, shape, kind, layout, kind, layout, cal_data_dir=place)
