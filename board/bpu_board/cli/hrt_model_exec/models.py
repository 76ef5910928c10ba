"""Model files of `hrt_model_exec`, and the runtime that runs them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bpu_board.cli.hrt_model_exec.inputs import split_files
from bpu_board.cli.hrt_model_exec.options import Options
from bpu_common.board import ModelInfo
from bpu_common.errors import UsageError
from bpu_common.machine import DEFAULT_MACHINE, MACHINES
from bpu_common.machine_settings import configured

if TYPE_CHECKING:
    from bpu_board.device import Device
    from bpu_board.runtime import Runtime


RELEASED = "hbDNNRelease success!"
"""The vendor's last line of `model_info` and `infer`."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model and the file it is in."""

    path: Path
    info: ModelInfo


def local_device(machine: str) -> Device:
    """The device of this computer: a simulated chip with virtual time.

    Raises:
        UsageError: there is no such chip, or the environment sets what no board has.
    """
    from bpu_board.devices.simulated import SimDevice

    if machine not in MACHINES:
        raise UsageError(
            f"the model was made for machine {machine!r}, which is not known",
            hint=f"give --machine: one of {', '.join(MACHINES)}",
        )
    return SimDevice(configured(MACHINES[machine]))


def load_models(options: Options) -> tuple[LocalModel, ...]:
    """All models of all files, in order.

    Raises:
        UsageError: no file is given, or two models have the same name.
        InputError, ModelFormatError: a file cannot be read or is not a model.
    """
    files = split_files(options.model_file)
    if not files:
        raise UsageError("--model_file names no file")
    started = time.perf_counter()
    device = local_device(options.machine or DEFAULT_MACHINE.name)
    models = tuple(LocalModel(path, info) for path in files for info in device.read(path))
    if not options.json:
        cost_ms = (time.perf_counter() - started) * 1e3
        sys.stderr.write(
            f"[OpenBPU] Load model to DDR cost {cost_ms:.3f}ms (wall time of this computer).\n"
        )
    names = [model.info.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"model {name!r} is there {names.count(name)} times in the files")
    return models


def choose(models: tuple[LocalModel, ...], name: str) -> LocalModel:
    """The model that `--model_name` means; it may be left out if there is only one.

    Raises:
        UsageError: no such model, or no name and several models.
    """
    names = ", ".join(model.info.name for model in models)
    if not name:
        if len(models) != 1:
            raise UsageError(
                f"the files hold {len(models)} models", hint=f"give --model_name: one of {names}"
            )
        return models[0]
    for model in models:
        if model.info.name == name:
            return model
    raise UsageError(f"no model {name!r} in the files", hint=f"they hold: {names}")


def open_runtime(options: Options, model: LocalModel) -> Runtime:
    """A runtime on this computer's device that has the model loaded.

    Raises:
        UsageError: the machine it was made for is not known.
        ModelFormatError: the model cannot be run.
    """
    from bpu_board.runtime import Runtime

    runtime = Runtime(local_device(options.machine or model.info.machine))
    runtime.open(model.path, model.info.name)
    return runtime
