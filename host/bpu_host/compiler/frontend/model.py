"""A float model as it was read from its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import onnx

from bpu_common.tensor import DType
from bpu_host.compiler.config.values import GraphInput
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.frontend.inputs import declared_shape, input_types
from bpu_host.compiler.weights import Weights


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """Read once, for all who ask about it; nobody changes it.

    Attributes:
        file: name of the model file, without folders.
        proto: inputs that are really constants are dropped; large constants lie in `weights`.
        inputs: what the model expects, without the inputs that no node reads.
        dtypes: what a caller gives for each of them, if it is no picture.
        unread: names of the inputs that no node reads.
        files: SHA-256 of every file it was read from, by name relative to the model's folder: the
            model file first, then its data files by name.
        digest: SHA-256 of all these files one after the other, as `cat FILES | sha256sum` says.
        weights: what `proto` refers to (`compiler/weights.py`).
        findings: what a user should know about what was read.
    """

    file: str
    proto: onnx.ModelProto
    inputs: tuple[GraphInput, ...]
    dtypes: dict[str, DType]
    unread: tuple[str, ...]
    files: dict[str, str]
    digest: str
    weights: Weights = ()
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(
        cls,
        file: str,
        proto: onnx.ModelProto,
        files: dict[str, str],
        digest: str,
        weights: Weights,
        findings: tuple[Finding, ...] = (),
    ) -> Self:
        """The model, its inputs as its graph has them.

        Raises:
            ModelUnsupported: an input is no tensor, or of a type that a board has not.
        """
        graph = proto.graph
        dtypes = input_types(graph, file)
        return cls(
            file,
            proto,
            tuple((v.name, declared_shape(v)) for v in graph.input if v.name in dtypes),
            dtypes,
            tuple(v.name for v in graph.input if v.name not in dtypes),
            files,
            digest,
            weights,
            findings,
        )
