"""Which engine computes here: compiled kernels where they run, else another with the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.engine import ENGINES, KERNEL_SETS, ONNXRUNTIME, REFERENCE, EngineInfo
from bpu_common.environment import KERNELS
from bpu_common.errors import UsageError
from bpu_sim.kernels.library import UNTRIED, Library, load
from bpu_sim.kernels.selftest import failure


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine of this machine; `library` has its kernels, if it has any."""

    about: EngineInfo
    library: Library | None = None


def choose_engine(prefer: str = "auto") -> Choice:
    """The engine that computes models here. Loads no other than the kernels.

    Args:
        prefer: one of `ENGINES`; `BPU_KERNELS` in the environment overrules it.

    Raises:
        UsageError: no engine of that name, or kernels that this machine cannot run.
    """
    wanted = KERNELS.value or prefer
    if wanted not in ENGINES:
        raise UsageError(
            f"there are no kernels called {wanted!r}",
            where=KERNELS.name if KERNELS.value else "",
            hint=f"possible are {', '.join(ENGINES)}",
        )
    if wanted == "auto":
        return _fastest()
    asked = f"{KERNELS.name} asks for it" if KERNELS.value else "the caller asks for it"
    if wanted in (ONNXRUNTIME, REFERENCE):
        return Choice(EngineInfo(wanted, asked))
    return _asked_for(wanted, asked)


def _fastest() -> Choice:
    library, problem = load()
    if library is None or not library.best:
        return Choice(EngineInfo(ONNXRUNTIME, f"no compiled kernels: {problem}"))
    name = library.best
    wrong = failure(library, name)
    if wrong:
        reason = f"the compiled kernels ({name}) fail their own test at {wrong!r}"
        return Choice(EngineInfo(ONNXRUNTIME, reason))
    reason = "the fastest that this machine has"
    return Choice(EngineInfo(name, reason, _not_run(library, name)), library)


def _asked_for(wanted: str, asked: str) -> Choice:
    library, problem = load()
    if library is None:
        raise UsageError(
            f"the kernels {wanted!r} cannot be used: {problem}",
            hint="compile them with `python -m bpu_sim.kernels.build`",
        )
    if wanted not in library.runs:
        state = "this machine lacks them" if wanted in library.built else "they were not built"
        here = ", ".join(library.runs) or "none"
        raise UsageError(
            f"the kernels {wanted!r} cannot be used: {state}", hint=f"here can run: {here}"
        )
    wrong = failure(library, wanted)
    if wrong:
        raise UsageError(
            f"the kernels {wanted!r} fail their own test at {wrong!r}",
            hint="please report this with the model of your processor",
        )
    return Choice(EngineInfo(wanted, asked, _not_run(library, wanted)), library)


def _not_run(library: Library, chosen: str) -> tuple[str, ...]:
    return tuple(
        name
        for name in KERNEL_SETS
        if name in library.built
        and name != chosen
        and (name not in library.runs or name in UNTRIED)
    )
