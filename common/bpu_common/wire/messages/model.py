"""What lies in the sections of a `.bin`, except arrays: manifest, programs, node tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpu_common.manifest import Manifest
from bpu_common.model import NodeInfo
from bpu_common.program import Program
from bpu_common.tensor import ModelInput, TensorSpec
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages.record import all_of
from bpu_common.wire.messages.rules import WIRE
from bpu_common.wire.messages.strict import parse

TENSOR = WIRE.converter(TensorSpec, pb.TensorSpec)
INPUT = WIRE.converter(ModelInput, pb.ModelInput)
NODE = WIRE.converter(NodeInfo, pb.NodeInfo)
_PROGRAM = WIRE.converter(Program, pb.Program)
_MANIFEST = WIRE.converter(Manifest, pb.Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of section 0; equal values give equal bytes."""
    return _MANIFEST.to_pb(manifest).SerializeToString(deterministic=True)


def decode_manifest(data: bytes | memoryview, refuse: Callable[[Sequence[str]], None]) -> Manifest:
    """The manifest of a file; sections it names may not exist.

    Args:
        refuse: raises ModelFormatError for features that this version lacks; it comes first, since
            what a newer version added would else be no more than a field that is not known.

    Raises:
        ModelFormatError: no such message, or a value that is missing, not known or of the wrong
            length; `where` is `models[i].field`.
    """

    def look(manifest: pb.Manifest) -> None:
        all_of(lambda model: refuse(model.features), manifest.models, "models")

    return _MANIFEST.from_pb(parse(pb.Manifest, data, "manifest", look))


def encode_program(program: Program) -> bytes:
    """The bytes of a program section."""
    return _PROGRAM.to_pb(program).SerializeToString(deterministic=True)


def decode_program(data: bytes | memoryview) -> Program:
    """The program of a section, values not yet checked against each other.

    Raises:
        ModelFormatError: as `decode_manifest`; `where` is `call[i].instruction[k].field`.
    """
    return _PROGRAM.from_pb(parse(pb.Program, data, "program"))
