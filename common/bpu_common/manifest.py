"""The manifest of a `.bin`: for each model which section holds what."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bpu_common.model import NodeInfo
from bpu_common.provenance import Provenance


class SectionKind(enum.IntEnum):
    """What a section of the file holds."""

    MANIFEST = 1
    PROGRAM = 2
    NETWORK = 3
    WEIGHTS = 4
    HINTS = 5


@dataclass(frozen=True, slots=True)
class ProgramSections:
    """Where the program of a BPU part lies, and the arrays of its operations."""

    part: str
    program_section: int
    weights_section: int


@dataclass(frozen=True, slots=True)
class ModelSections:
    """One model of the file; sections are given by their index in the section table.

    Attributes:
        constants_section: arrays of the CPU parts and the network's constants.
        hints: section of each engine's hints, by the engine's name.
    """

    march: str
    machine: str
    features: tuple[str, ...]
    network_section: int
    constants_section: int
    programs: tuple[ProgramSections, ...]
    nodes: tuple[NodeInfo, ...]
    parameters: dict[str, str]
    provenance: Provenance | None
    hints: dict[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Section 0 of the file."""

    models: tuple[ModelSections, ...]
