"""The ONNX operators that end a conversion, and why: what is left over is listed nowhere else."""

from __future__ import annotations

from types import MappingProxyType

import onnx.defs

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_host.compiler.frontend.functions import is_function
from bpu_host.compiler.rules.table import onnx_rows
from bpu_host.compiler.units import REWRITTEN

_RANDOM = (
    "it is random, while equal inputs give equal bits here; make the noise an input of the model"
)
_SHAPE = "the shape of its result depends on the data"
_LOOP = "a program of the chip is one fixed list of instructions"
_NO_TENSOR = "it works on sequences or optional values"
_TEXT = "it works on text"
_NOBODY = "it is in neither the operator list of the chip nor written out by ONNX"
_REASONS = MappingProxyType(
    {
        **dict.fromkeys(
            ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
             "RandomUniformLike"),
            _RANDOM,
        ),
        **dict.fromkeys(("Compress", "NonMaxSuppression", "Unique"), _SHAPE),
        **dict.fromkeys(("Loop", "Scan"), _LOOP),
        **dict.fromkeys(
            ("ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement",
             "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
             "SequenceLength", "SequenceMap", "SplitToSequence"),
            _NO_TENSOR,
        ),
        **dict.fromkeys(
            ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit",
             "TfIdfVectorizer"),
            _TEXT,
        ),
    }
)  # fmt: skip


def why_refused(op_type: str) -> str:
    """Why an operator that no CPU part may hold cannot be converted."""
    return _REASONS.get(op_type, _NOBODY)


def written_out() -> frozenset[str]:
    """Operators that exist as functions of others alone (`frontend.functions`)."""
    return frozenset(
        schema.name
        for schema in _schemas()
        if is_function(schema) and schema.name not in CPU_OPERATORS and schema.name not in _REASONS
    )


def refused() -> dict[str, str]:
    """Every refused operator of the ONNX domain with its reason, by name."""
    names = {schema.name for schema in _schemas()} | set(onnx_rows())
    converted = CPU_OPERATORS | set(REWRITTEN) | written_out() | {"Function"}  # of a model itself
    return {name: why_refused(name) for name in sorted(names - converted)}


def _schemas() -> list[onnx.defs.OpSchema]:
    return [schema for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
