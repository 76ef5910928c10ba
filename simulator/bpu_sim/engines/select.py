"""Choosing the engine of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from bpu_common.engine import REFERENCE, engine_line
from bpu_common.network import Network
from bpu_sim.engines.engine import CustomLoader, Engine
from bpu_sim.engines.kernel_engine import KernelEngine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.hints import ENGINE, read_hints, write_hints
from bpu_sim.engines.ort_engine import OrtEngine
from bpu_sim.engines.proofs import Proofs
from bpu_sim.engines.reference import ReferenceEngine
from bpu_sim.kernels.choice import choose_engine


class _Parts(TypedDict):
    """What every engine is told about the parts it runs."""

    threads: int
    load_custom: CustomLoader | None
    contained: bool


def open_engine(
    network: Network,
    *,
    prefer: str = "auto",
    hints: Mapping[str, bytes | memoryview] | None = None,
    digest: str = "",
    threads: int = 1,
    load_custom: CustomLoader | None = None,
    proofs: Proofs | None = None,
    contained: bool = False,
) -> tuple[Engine, str]:
    """The engine for a network, and a sentence that says which it is and why.

    Args:
        prefer: one of `bpu_common.engine.ENGINES`; `BPU_KERNELS` in the environment overrules it.
        hints: those of the model, by engine; never believed, only proved.
        digest: SHA-256 of the file, for remembering the proof; empty: it is not remembered.
        threads: that may work on one frame.
        load_custom: finds what computes custom operators.
        proofs: where proofs are remembered; None: the user's folder.
        contained: float operators of CPU parts run in a process of their own, within limits, as
            those out of a file from elsewhere must.

    Raises:
        UsageError: no engine of that name, or kernels that this machine cannot run.
        ModelUnsupported: a custom operator, and nothing that computes it.
        ModelFormatError: a part holds what may not be run.
        CapacityError: a CPU part needs more memory or time than it may have.
    """
    choice = choose_engine(prefer)
    about, sentence = choice.about, engine_line(choice.about)
    parts = _Parts(threads=threads, load_custom=load_custom, contained=contained)
    if about.name == REFERENCE:
        return ReferenceEngine(network, **parts), sentence
    if choice.library is not None:
        return KernelEngine(network, choice.library, about.name, **parts), sentence
    memory = proofs or Proofs()
    plans, source = _plans(network, (hints or {}).get(ENGINE, b""), digest, memory)
    fast = OrtEngine(network, plans=plans, **parts)
    if digest and not plans.trusted:
        memory.save(digest, write_hints(network, plans))
    return fast, f"{sentence}; its constants {source}"


def _plans(
    network: Network, hints: bytes | memoryview, digest: str, memory: Proofs
) -> tuple[Plans, str]:
    """The plans, and where their constants come from."""
    remembered = memory.load(digest) if digest else None
    known = read_hints(network, remembered) if remembered is not None else {}
    if known:
        return Plans.of(network, known, trusted=True), "were proved before"
    known = read_hints(network, hints)
    return Plans.of(network, known), "are proved now" if known else "are searched now"
