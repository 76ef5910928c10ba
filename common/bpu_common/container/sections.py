"""Models <-> the sections of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from bpu_common.container.features import refuse_unknown
from bpu_common.container.layout import Section
from bpu_common.container.weights import (
    constant_array,
    constant_span,
    covers,
    pack_constants,
    spans,
    with_arrays,
)
from bpu_common.errors import ModelFormatError
from bpu_common.manifest import Manifest, ModelSections, ProgramSections, SectionKind
from bpu_common.model import BpuModel, Bytes, PartProgram
from bpu_common.network import Network, Part, Place
from bpu_common.program import Program
from bpu_common.tensor import AnyArray
from bpu_common.wire.messages.model import (
    decode_manifest,
    decode_program,
    encode_manifest,
    encode_program,
)
from bpu_common.wire.messages.network import (
    Places,
    StoredArrays,
    decode_network,
    encode_network,
)
from bpu_common.wire.messages.record import prefixed

PutSection = Callable[[SectionKind, Bytes], int]
"""Stores a section and gives its index."""
GetSection = Callable[[SectionKind, int], memoryview]


def write_sections(
    models: Sequence[BpuModel], take: Callable[[SectionKind, int], None]
) -> list[Section]:
    """The manifest of `models`, which have been checked, and what it refers to; no section twice.

    Args:
        take: is told kind and size in bytes of each section as often as a model refers to it.
    """
    sections = [Section(SectionKind.MANIFEST, b"")]
    known: dict[tuple[SectionKind, bytes], int] = {}

    def put(kind: SectionKind, data: Bytes) -> int:
        take(kind, len(data))
        key = (kind, hashlib.sha256(data).digest())
        if key not in known:
            known[key] = len(sections)
            sections.append(Section(kind, data))
        return known[key]

    manifest = encode_manifest(Manifest(tuple(_write(model, put) for model in models)))
    sections[0] = Section(SectionKind.MANIFEST, manifest)
    return sections


def read_models(manifest: Bytes, get: GetSection) -> tuple[BpuModel, ...]:
    """The models of a manifest; each value is well-formed in itself but not yet checked.

    Raises:
        ModelFormatError: with `where` as `model[i].part[k]...`.
    """
    models = []
    programs: dict[int, Program] = {}
    for index, entry in enumerate(decode_manifest(manifest, refuse_unknown).models):
        try:
            models.append(_read(entry, get, programs))
        except ModelFormatError as error:
            raise prefixed(error, f"model[{index}]") from None
    return tuple(models)


def _write(model: BpuModel, put: PutSection) -> ModelSections:
    packed = pack_constants(model.network)
    cpu_places = iter(packed.parts)
    places: list[Places] = []
    programs: list[ProgramSections] = []
    for part in model.network.parts:
        if part.place is Place.CPU:
            places.append(next(cpu_places))
            continue
        made = model.programs[part.name]
        places.append(made.places)
        programs.append(
            ProgramSections(
                part.name,
                put(SectionKind.PROGRAM, encode_program(made.program)),
                put(SectionKind.WEIGHTS, made.weights),
            )
        )
    stored = StoredArrays(tuple(places), packed.constants)
    return ModelSections(
        march=model.march,
        machine=model.machine,
        features=model.features,
        network_section=put(SectionKind.NETWORK, encode_network(model.network, stored)),
        constants_section=put(SectionKind.WEIGHTS, packed.data),
        programs=tuple(programs),
        nodes=model.nodes,
        parameters=model.parameters,
        provenance=model.provenance,
        hints={name: put(SectionKind.HINTS, data) for name, data in model.hints.items()},
    )


def _read(entry: ModelSections, get: GetSection, decoded: dict[int, Program]) -> BpuModel:
    """One model of the manifest.

    Args:
        decoded: programs by their section: models may share one.
    """
    network, stored = decode_network(get(SectionKind.NETWORK, entry.network_section))
    constants = get(SectionKind.WEIGHTS, entry.constants_section)
    of_part = {part.name: at for part, at in zip(network.parts, stored.parts, strict=True)}
    programs = {
        each.part: _read_program(each, of_part.get(each.part, ()), get, decoded)
        for each in entry.programs
    }
    if len(programs) != len(entry.programs):
        raise ModelFormatError("two programs of one part")
    parts = tuple(
        _with_arrays(part, places, constants, programs, f"part[{index}]")
        for index, (part, places) in enumerate(zip(network.parts, stored.parts, strict=True))
    )
    return BpuModel(
        network=replace(network, parts=parts, constants=_constants(network, stored, constants)),
        march=entry.march,
        machine=entry.machine,
        programs=programs,
        nodes=entry.nodes,
        parameters=entry.parameters,
        provenance=entry.provenance,
        hints={name: get(SectionKind.HINTS, index) for name, index in entry.hints.items()},
        features=entry.features,
    )


def _read_program(
    sections: ProgramSections, places: Places, get: GetSection, decoded: dict[int, Program]
) -> PartProgram:
    index = sections.program_section
    data = get(SectionKind.PROGRAM, index)
    program = decoded.get(index)
    if program is None:
        try:
            program = decoded[index] = decode_program(data)
        except ModelFormatError as error:
            raise prefixed(error, f"program of {sections.part!r}") from None
    return PartProgram(program, get(SectionKind.WEIGHTS, sections.weights_section), places)


def _with_arrays(
    part: Part,
    places: Places,
    constants: memoryview,
    programs: dict[str, PartProgram],
    where: str,
) -> Part:
    """The part with the arrays of its operations as views of their section."""
    section = constants
    if part.place is Place.BPU:
        if part.name not in programs:
            raise ModelFormatError("a BPU part without a program", where=where)
        section = memoryview(programs[part.name].weights)
    ops = []
    for index, (op, place) in enumerate(zip(part.ops, places, strict=True)):
        try:
            ops.append(with_arrays(op, place, section))
        except ModelFormatError as error:
            raise prefixed(error, f"{where}.op[{index}]") from None
    return replace(part, ops=tuple(ops))


def _constants(network: Network, stored: StoredArrays, section: memoryview) -> dict[str, AnyArray]:
    found: dict[str, AnyArray] = {}
    for constant in stored.constants:
        try:
            found[constant.name] = constant_array(constant, section)
        except ModelFormatError as error:
            raise prefixed(error, f"constant {constant.name!r}") from None
    if len(found) != len(stored.constants):
        raise ModelFormatError("two constants of one name", where=network.name)
    taken = [constant_span(constant) for constant in stored.constants]
    for part, places in zip(network.parts, stored.parts, strict=True):
        if part.place is Place.CPU:
            taken += (
                each for op, at in zip(part.ops, places, strict=True) for each in spans(op, at)
            )
    if not covers(taken, section):
        raise ModelFormatError("the constants section holds more than arrays of the network")
    return found
