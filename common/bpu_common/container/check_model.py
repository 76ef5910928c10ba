"""The rules every model in a `.bin` keeps: its network, and that the programs are its parts'."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.container.check_program import check_program
from bpu_common.container.weights import is_packed
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel, PartProgram
from bpu_common.network import Part, Place
from bpu_common.network.check import check_network
from bpu_common.require import placed, require, unique

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
    bpu = {part.name: part for part in model.network.parts if part.place is Place.BPU}
    with placed(where):
        for name in model.programs:
            require(name in bpu, f"a program of {name!r}, which is no BPU part")
        for node in model.nodes:
            require(node.on in {"BPU", "CPU"}, f"node {node.name!r} runs on {node.on!r}")
    for name, part in bpu.items():
        place = f"{where}.program {name!r}"
        with placed(place):
            require(name in model.programs, "the program of a BPU part is missing")
        _check_program(model, part, model.programs[name], place)


def _check_program(model: BpuModel, part: Part, made: PartProgram, where: str) -> None:
    program, network = made.program, model.network
    check_program(program, len(made.weights), where)
    images = network.images
    with placed(where):
        require(
            is_packed(part.ops, made.weights),
            "the weights of the program are not those of the operations",
        )
        for names, slots, what in (
            (part.inputs, program.inputs, "inputs"),
            (part.outputs, program.outputs, "outputs"),
        ):
            require(
                sorted(names) == sorted(slot.tensor for slot in slots),
                f"the program's {what} are not those of the part",
            )
        for slot in (*program.inputs, *program.outputs):
            spec, image = network.tensors[slot.tensor], images.get(slot.tensor)
            needed = spec.size_bytes if image is None else image.caller_size_bytes
            require(
                slot.size_bytes >= needed,
                f"the slot of {slot.tensor!r} has {slot.size_bytes} bytes, {needed} are needed",
            )
