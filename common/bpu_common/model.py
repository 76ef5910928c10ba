"""A compiled model in memory: what a `.bin` holds once it is read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from bpu_common.network import Network, Part, Place
from bpu_common.program import Program
from bpu_common.provenance import Provenance
from bpu_common.tensor import DType, ModelInput, TensorSpec

Bytes: TypeAlias = bytes | memoryview


@dataclass(frozen=True, slots=True)
class ConstantPlace:
    """Offsets of an operation's constants in a weights section, -1 where it has none.

    Attributes:
        weights: int8 (O, kh, kw, I / groups), dense.
        params: 8 bytes an output channel (`bpu_common.params`).
        tables: int8 (1, 256) or (channels, 256).
    """

    weights: int = -1
    params: int = -1
    tables: int = -1


@dataclass(frozen=True, slots=True)
class StoredConstant:
    """Where an array that CPU operators read lies in the constants section."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class PartProgram:
    """What a BPU core executes for one part of the network.

    Attributes:
        program: equal to the part's operations bit for bit. Its inputs and outputs are those of the
            part; an input that is an image input of the model is fed with raw uint8.
        weights: read-only bytes of the WEIGHTS space (may be a view of the mapped file): the arrays
            of the part's operations.
        places: where they lie there, one for each operation (`container.weights` packs them).
    """

    program: Program
    weights: Bytes
    places: tuple[ConstantPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One row of the node table: where an operator of the network runs, and how well.

    Attributes:
        on: "BPU" or "CPU".
        subgraph: index of the BPU part, -1 on the CPU.
        cosine: similarity of its output to the float model's, NaN if unknown.
        threshold: calibration threshold of the first input, NaN if none.
    """

    name: str
    on: str
    subgraph: int
    op_type: str
    cosine: float
    threshold: float
    in_dtype: str
    out_dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class BpuModel:
    """A compiled model.

    Attributes:
        network: what it computes; every engine runs it.
        programs: what the BPU executes of it, by the name of the part; each BPU part has one.
        machine: name of the `MachineSpec` it was compiled for ("x3m", "j3", "x3e").
        parameters: further facts of the conversion, as text by `group.key`.
        hints: what spares an engine work when it loads the model, by the engine's name; never
            trusted, never needed.
        features: names of what a reader must know to run it (docs/bin-format.md).
    """

    network: Network
    march: str
    machine: str
    programs: dict[str, PartProgram]
    nodes: tuple[NodeInfo, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    hints: dict[str, Bytes] = field(default_factory=dict)
    features: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        return self.network.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs' tensors, each under the name of the output."""
        return tuple(
            replace(self.network.tensors[output.tensor], name=output.name)
            for output in self.network.outputs
        )

    @property
    def bpu_parts(self) -> tuple[tuple[Part, PartProgram], ...]:
        """The BPU parts in order, each with what it executes."""
        return tuple(
            (part, self.programs[part.name])
            for part in self.network.parts
            if part.place is Place.BPU
        )

    @property
    def facts(self) -> dict[str, str]:
        """Provenance and parameters as one table of text."""
        known = self.provenance.parameters() if self.provenance is not None else {}
        return {**known, **self.parameters}
