"""A float model as it was read from its files."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from bpu_common.tensor import DType
from bpu_host.compiler.config.values import GraphInput
from bpu_host.compiler.findings import Finding
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
