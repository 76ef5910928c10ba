"""Which engine computes a model's numbers on a computer, why, and the sentence that says so."""

from __future__ import annotations

from dataclasses import dataclass

KERNEL_SETS = ("vnni", "avxvnni", "avx2", "dot", "neon")
"""Instruction sets that kernels are written for: x86, then aarch64, the fastest first."""
ONNXRUNTIME = "onnxruntime"
REFERENCE = "reference"
ENGINES = ("auto", *KERNEL_SETS, ONNXRUNTIME, REFERENCE)
"""What may be asked for; `auto` is the fastest that runs."""

_WORDS = {ONNXRUNTIME: ONNXRUNTIME, REFERENCE: "reference arithmetic"} | {
    name: f"compiled kernels ({name})" for name in KERNEL_SETS
}


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine of a computer.

    Attributes:
        name: of `ENGINES`, without `auto`; empty: nobody said, or a chip computes.
        reason: why it is this one.
        not_run: instruction sets that kernels were built for and that never ran here: the machine
            lacks them, or nobody has tried them yet and they are used only when asked for.
    """

    name: str = ""
    reason: str = ""
    not_run: tuple[str, ...] = ()


def engine_line(engine: EngineInfo) -> str:
    """The engine for a person: "compiled kernels (avx2): the fastest that this machine has"."""
    if not engine.name:
        return "not said"
    words = f"{_WORDS.get(engine.name, engine.name)}: {engine.reason}"
    if engine.not_run:
        words += f"; built, not run here: {', '.join(engine.not_run)}"
    return words
