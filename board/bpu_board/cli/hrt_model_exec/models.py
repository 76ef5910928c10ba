"""Model files of `hrt_model_exec`, and the runtime that runs them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bpu_board.cli.hrt_model_exec.inputs import split_files
from bpu_board.cli.hrt_model_exec.options import Options
from bpu_common import container
from bpu_common.errors import UsageError
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel

if TYPE_CHECKING:
    from bpu_board.runtime import Runtime


def load_models(options: Options) -> tuple[BpuModel, ...]:
    """All models of all files, in order.

    Raises:
        UsageError: no file is given, or two models have the same name.
        InputError, ModelFormatError: a file cannot be read or is not a model.
    """
    files = split_files(options.model_file)
    if not files:
        raise UsageError("--model_file names no file")
    started = time.perf_counter()
    models = tuple(model for path in files for model in container.load(path))
    if not options.json:
        sys.stderr.write(
            f"[OpenBPU] Load model to DDR cost {(time.perf_counter() - started) * 1e3:.3f}ms.\n"
        )
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"model {name!r} is there {names.count(name)} times in the files")
    return models


def choose(models: tuple[BpuModel, ...], name: str) -> BpuModel:
    """The model that `--model_name` means; it may be left out if there is only one.

    Raises:
        UsageError: no such model, or no name and several models.
    """
    names = ", ".join(model.name for model in models)
    if not name:
        if len(models) != 1:
            raise UsageError(
                f"the files hold {len(models)} models", hint=f"give --model_name: one of {names}"
            )
        return models[0]
    for model in models:
        if model.name == name:
            return model
    raise UsageError(f"no model {name!r} in the files", hint=f"they hold: {names}")


def open_runtime(options: Options, model: BpuModel) -> Runtime:
    """A runtime on a simulated chip, with virtual time, that has the model loaded.

    Raises:
        UsageError: regions of interest are asked for.
        ModelFormatError: the model cannot be run.
    """
    if options.roi_infer or options.roi:
        raise UsageError(
            "regions of interest need a model with resizer inputs, which are not supported yet",
            hint="leave out --roi_infer and --roi",
        )
    from bpu_board.devices.simulated import SimDevice
    from bpu_board.runtime import Runtime

    machine = options.machine or model.machine
    if machine not in MACHINES:
        raise UsageError(
            f"the model was made for machine {machine!r}, which is not known",
            hint=f"give --machine: one of {', '.join(MACHINES)}",
        )
    runtime = Runtime(SimDevice(MACHINES[machine]))
    runtime.install((model,))
    return runtime
