"""Which targets there are, and the inputs that are kept for them.

`corpus/NAME/` holds inputs that once did harm (`found-...`), and some that reach code which the
seeds do not. Everything there is an input like any other: tests and fuzzers begin with it.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.fuzz_targets.target import Target

NAMES = (
    *("bins", "cpu_operators", "onnx_models", "caffe_models", "configurations", "pictures"),
    *("samples", "input_files", "recordings", "messages", "inventories", "board_calls"),
    "daemon_calls",
)
CORPUS = Path(__file__).parent / "corpus"


def target_of(name: str) -> Target:
    """The target of a name of `NAMES`."""
    found: Target = importlib.import_module(f"tests.fuzz_targets.{name}").TARGET
    return found


def corpus_files(name: str) -> list[Path]:
    """The inputs that are kept for a target."""
    return sorted((CORPUS / name).glob("*"))
