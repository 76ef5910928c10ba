"""From a float ONNX model to a `.bin`, with the choices of `hb_mapper makertbin`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bpu_common.errors import UsageError
from bpu_common.machine import DEFAULT_MACHINE
from bpu_common.pictures import Fit
from openbpu.choices import Choices, Input, Samples
from openbpu.inputs import Given
from openbpu.model import Model
from openbpu.results import Result, html_table

if TYPE_CHECKING:
    from bpu_host.compiler.api import Compiled
    from bpu_host.compiler.events import Event
    from bpu_host.compiler.frontend import FloatModel

Progress: TypeAlias = Callable[[str], None]

YAML_SUFFIXES = (".yaml", ".yml")


class Converted:
    """A conversion that ended well; call it to run the model in this process.

    Attributes:
        path: the `.bin`.
        files: all products.
        config_file: the YAML it was made by; `hb_mapper makertbin -c` makes the same again.
    """

    def __init__(self, compiled: Compiled, config_file: Path, fit: Fit) -> None:
        self.compiled = compiled
        self.files = compiled.files
        self.path = next(file for file in compiled.files if file.suffix == ".bin")
        self.config_file = config_file
        self._fit: Fit = fit

    @cached_property
    def model(self) -> Model:
        """The model in this process."""
        return Model(self.path, fit=self._fit)

    @property
    def cosines(self) -> dict[str, float]:
        """By output, how near the first sample's result is to the float model's; 1 is equal."""
        return {name: found.cosine for name, found in self.compiled.outputs.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to look at before the model is used."""
        return tuple(str(finding) for finding in self.compiled.findings)

    def __call__(self, *inputs: Given) -> Result:
        """Run one frame in this process, as `Model` does."""
        return self.model(*inputs)

    def __repr__(self) -> str:
        nodes, warnings = self._nodes(), len(self.warnings)
        return (
            f"{self.path.name}: {nodes['BPU']} nodes on the BPU, {nodes['CPU']} on the CPU; cosine "
            f"{', '.join(f'{name} {cosine:.4f}' for name, cosine in self.cosines.items())}"
            + (f"; warnings: {warnings}" if warnings else "")
        )

    def _repr_html_(self) -> str:
        nodes = self._nodes()
        rows = [["nodes on the BPU", str(nodes["BPU"])], ["nodes on the CPU", str(nodes["CPU"])]]
        rows += [[f"cosine of {name}", f"{cosine:.4f}"] for name, cosine in self.cosines.items()]
        rows += [["a frame alone (simulated)", f"{self.model.latency_us / 1e3:.3f} ms"]]
        rows += [["warning", text] for text in self.warnings]
        return html_table(self.path.name, ["", ""], rows)

    def _nodes(self) -> dict[str, int]:
        on = [node.on for node in self.compiled.nodes]
        return {place: on.count(place) for place in ("BPU", "CPU")}


def convert(
    model: str | os.PathLike[str],
    calibration: Samples | None = None,
    *inputs: Input,
    output: str | os.PathLike[str] = "model_output",
    name: str = "",
    method: str = "default",
    machine: str = DEFAULT_MACHINE.name,
    optimize_level: str = "O3",
    fit: Fit = "stretch",
    progress: Progress | None = None,
) -> Converted:
    """Convert a float ONNX model, or whatever a YAML of `hb_mapper makertbin` says.

    Args:
        model: an .onnx, or a .yaml that says everything (then nothing else is given).
        calibration: about 100 typical inputs: a folder of pictures, a folder of raw samples (one
            input only), or frames as they will be inferred. Their pixels are 0..255.
        inputs: how each input was trained; those of an image input can often be guessed.
        output: folder of the products.
        name: of the model and its files; that of the .onnx by default.
        method: `default`, `kl` or `max`.
        fit: how pictures of other proportions become the input's.
        progress: called with a sentence whenever a stage begins or goes on; `print` will do.

    Raises:
        ConfigError, InputError, CalibrationError, ModelUnsupported, ...: a BpuError that says what
            to change; nothing is left behind but samples and YAML.
    """
    from openbpu.configuring import configure

    path = Path(model)
    if path.suffix.lower() in YAML_SUFFIXES:
        if calibration is not None or inputs:
            raise UsageError(
                "the YAML says how the model is calibrated and fed",
                where=str(path),
                hint="give nothing else, or the .onnx instead",
            )
        return _compiled(path, None, fit, progress)
    if calibration is None:
        raise UsageError(
            "a conversion needs calibration samples",
            where=str(path),
            hint="give a folder of about 100 typical pictures, or the frames themselves",
        )
    choices = Choices(Path(output), name or path.stem, method, machine, optimize_level, fit)
    config_file, source = configure(path, calibration, inputs, choices)
    return _compiled(config_file, source, fit, progress)


def _compiled(
    file: Path, source: FloatModel | None, fit: Fit, progress: Progress | None
) -> Converted:
    from bpu_host.compiler.api import compile_model
    from bpu_host.compiler.config import load_config

    compiled = compile_model(load_config(file), _teller(progress), source=source)
    return Converted(compiled, file, fit)


def _teller(progress: Progress | None) -> Callable[[Event], None]:
    """The compiler's events as sentences."""
    from bpu_host.compiler.events import Advanced, StageStarted, ignore

    if progress is None:
        return ignore

    def tell(event: Event) -> None:
        match event:
            case StageStarted():
                progress(event.title)
            case Advanced():
                progress(f"{event.title}: {event.done} of {event.total}")
            case _:
                pass

    return tell
