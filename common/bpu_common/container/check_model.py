"""The rules every model in a `.bin` keeps: its network, and that the programs are its parts'."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.container.check_part import check_agreement
from bpu_common.container.check_program import check_program
from bpu_common.container.features import features_of
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel
from bpu_common.network import Place
from bpu_common.network.check import check_network
from bpu_common.plain import has_controls
from bpu_common.require import in_range, placed, require, unique

MAX_MODELS = 1024


def check_models(models: Sequence[BpuModel]) -> None:
    """Check each model and that their names differ.

    Raises:
        ModelFormatError: `where` is `model[i].part[k].op[m]`, `model[i].program 'p'.call[m]`, or a
            part of it.
    """
    with placed(""):
        count = len(models)
        require(
            1 <= count <= MAX_MODELS, f"{count} models in one file; 1 to {MAX_MODELS} are allowed"
        )
        unique("model", [model.name for model in models])
    for index, model in enumerate(models):
        check_model(model, f"model[{index}]")


def check_model(model: BpuModel, where: str) -> None:
    """Check one model completely."""
    with placed(where):
        known = ", ".join(sorted(MACHINES))
        require(
            model.machine in MACHINES,
            f"machine {model.machine!r} is not known; known are {known}",
        )
        require(
            model.march == MACHINES[model.machine].march,
            f"march {model.march!r} is not that of machine {model.machine!r}",
        )
    check_network(model.network, where)
    bpu = {part.name for part in model.network.parts if part.place is Place.BPU}
    with placed(where):
        for name in model.programs:
            require(name in bpu, f"a program of {name!r}, which is no BPU part")
        for node in model.nodes:
            require(node.on in {"BPU", "CPU"}, f"node {node.name!r} runs on {node.on!r}")
            for text in (node.name, node.op_type, node.in_dtype, node.out_dtype):
                require(not has_controls(text), f"node {node.name!r} has control characters")
        for key in model.parameters:
            require(not has_controls(key), f"parameter {key!r} has control characters")
    for index, part in enumerate(model.network.parts):
        if part.place is not Place.BPU:
            continue
        place = f"{where}.program {part.name!r}"
        with placed(place):
            require(part.name in model.programs, "the program of a BPU part is missing")
        made = model.programs[part.name]
        with placed(place):
            most = MACHINES[model.machine].sram_bytes
            in_range("on-chip memory", made.program.sram_bytes, 0, most)
        check_program(made.program, len(made.weights), len(part.ops), place)
        check_agreement(model, index, where)
    _check_features(model, where)


def _check_features(model: BpuModel, where: str) -> None:
    needed = features_of(model)
    with placed(where):
        lacking = [name for name in needed if name not in model.features]
        require(not lacking, f"features {lacking} are needed and not listed", "features")
        require(
            model.features == needed,
            f"features {model.features[:8]} are listed, {needed} are needed",
            "features",
        )
