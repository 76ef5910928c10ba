"""Choosing the engine of a network."""

from __future__ import annotations

from collections.abc import Mapping

import onnxruntime

from bpu_common.environment import KERNELS
from bpu_common.errors import UsageError
from bpu_common.network import Network
from bpu_sim.engines.engine import CustomLoader, Engine
from bpu_sim.engines.kernel_engine import KernelEngine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.hints import ENGINE, read_hints, write_hints
from bpu_sim.engines.ort_engine import OrtEngine
from bpu_sim.engines.proofs import Proofs
from bpu_sim.engines.reference import ReferenceEngine
from bpu_sim.kernels.choice import SETS, choose

CHOICES = ("auto", *SETS, "onnxruntime", "reference")


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
        prefer: one of `CHOICES`; `BPU_KERNELS` in the environment overrules it.
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
    wanted, why = _wanted(prefer)
    if wanted == "reference":
        engine = ReferenceEngine(
            network, threads=threads, load_custom=load_custom, contained=contained
        )
        return engine, f"reference arithmetic: {why}"
    kernels, reason = choose(wanted) if wanted != "onnxruntime" else (None, why)
    if kernels is not None:
        library, set_name = kernels
        made = KernelEngine(
            network,
            library,
            set_name,
            threads=threads,
            load_custom=load_custom,
            contained=contained,
        )
        return made, f"compiled kernels ({set_name}): {reason}"
    memory = proofs or Proofs()
    plans, source = _plans(network, (hints or {}).get(ENGINE, b""), digest, memory)
    fast = OrtEngine(
        network, threads=threads, plans=plans, load_custom=load_custom, contained=contained
    )
    if digest and not plans.trusted:
        memory.save(digest, write_hints(network, plans))
    return fast, f"onnxruntime {onnxruntime.__version__}: {reason}; its constants {source}"


def _wanted(prefer: str) -> tuple[str, str]:
    """The engine that is asked for, and why it is.

    Raises:
        UsageError: no engine of that name.
    """
    wanted = KERNELS.value or prefer
    if wanted not in CHOICES:
        raise UsageError(
            f"there are no kernels called {wanted!r}",
            where=KERNELS.name if KERNELS.value else "",
            hint=f"possible are {', '.join(CHOICES)}",
        )
    asked = f"{KERNELS.name} or the caller asks for it"
    return wanted, asked if wanted != "auto" else "the fastest there is"


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
