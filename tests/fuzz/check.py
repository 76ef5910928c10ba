"""One seed from end to end: build, convert, run on every engine, compare."""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from bpu_common.errors import BpuError, ModelUnsupported
from bpu_common.tensor import AnyArray
from bpu_host.compiler.api import compile_model
from tests.fuzz.case import Case
from tests.fuzz.engines import ENGINES, Converted, Engine, QuantizedOnnx
from tests.fuzz.grammar import case_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed.

    Attributes:
        problem: why it failed; empty if all engines agree on every bit, or it was refused.
        refusal: the sentence with which the compiler does not take it; empty as a rule.
        counts: how often each operator, family, level, mode ... occurred, by group and name.
    """

    seed: int
    problem: str = ""
    refusal: str = ""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


def check(seed: int, failures: Path | None = None) -> Outcome:
    """Run one seed.

    Args:
        failures: folder that gets the model and the reason if it fails.
    """
    case = case_of(seed)
    counts = _counts(case)
    try:
        with tempfile.TemporaryDirectory() as folder:
            counts.update(_agree(case, Path(folder)))
    except ModelUnsupported as error:
        return Outcome(seed, refusal=str(error), counts=counts)
    except Exception as error:  # noqa: BLE001 whatever goes wrong is a finding
        problem = _reason(error)
        if failures is not None:
            _write(case, failures / f"seed_{seed}", problem)
        return Outcome(seed, problem, counts=counts)
    return Outcome(seed, counts=counts)


def _agree(case: Case, folder: Path) -> Counter[tuple[str, str]]:
    """Convert and compare all frames; what runs where.

    Raises:
        AssertionError: an engine gives other bits than the first.
        BpuError: the network is refused, or a run fails.
    """
    converted = Converted.load(compile_model(case.write(folder), measure=False))
    engines = {name: make(converted) for name, make in ENGINES.items()}
    found = Counter((node.on, node.op_type) for node in converted.compiled.nodes)
    try:
        for index, frame in enumerate(case.frames_of(converted.model)):
            (first, wanted), *others = (
                (name, engine.run(frame)) for name, engine in engines.items()
            )
            for name, made in others:
                for output, array in wanted.items():
                    what = f"frame {index}, output {output}: {name}, {first}"
                    if _rounded(engines[name], frame, output, made[output], array):
                        found["float output", "onnxruntime differs from itself"] += 1
                    else:
                        compare(what, made[output], array)
    finally:
        converted.runtime.close()
    found["function calls", str(min(converted.calls, 10))] += 1
    return found


def _rounded(
    engine: Engine, frame: Mapping[str, AnyArray], output: str, found: AnyArray, wanted: AnyArray
) -> bool:
    """Whether an output differs by roundings in which onnxruntime differs from itself."""
    if not isinstance(engine, QuantizedOnnx) or not np.issubdtype(found.dtype, np.floating):
        return False
    if found.shape != wanted.shape or np.array_equal(found, wanted, equal_nan=True):
        return False
    near = np.allclose(found, wanted, rtol=1e-5, atol=1e-6, equal_nan=True)
    return bool(near) and engine.wavers(frame, output)


def compare(what: str, found: AnyArray, wanted: AnyArray) -> None:
    """Equal shapes, types and bits (NaN equals NaN).

    Raises:
        AssertionError: they differ; says where first.
    """
    assert found.shape == wanted.shape, f"{what}: shapes {found.shape} and {wanted.shape}"
    assert found.dtype == wanted.dtype, f"{what}: types {found.dtype} and {wanted.dtype}"
    same = (found == wanted) | ((found != found) & (wanted != wanted))
    if not same.all():
        where = tuple(int(axis[0]) for axis in np.nonzero(~same))
        raise AssertionError(
            f"{what}: {np.count_nonzero(~same)} of {same.size} values differ, first at {where}: "
            f"{found[where]} and {wanted[where]}"
        )


def _counts(case: Case) -> Counter[tuple[str, str]]:
    shown = ("optimize_level", "compile_mode", "machine", "max_time_per_fc_us")
    found = Counter({("family", case.kind): 1})
    found.update((key, str(case.options[key])) for key in shown)
    for key in ("calibration_method", "weight_rounding", "all_codes"):
        found[key, case.options[key].value] += 1
    for key in ("run_on_cpu", "output_nodes"):
        found[key, str(len(case.options.get(key, ())))] += 1
    found.update(("input", each.rt_type.value) for each in case.inputs)
    found.update(("operator", node.op_type) for node in case.model.graph.node)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, (BpuError, AssertionError)):
        return f"{type(error).__name__}: {error}"
    return traceback.format_exc()


def _write(case: Case, folder: Path, problem: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(case.model, folder / "net.onnx")
    lines = [f"seed {case.seed}: {case.kind}", problem, "", *map(str, case.inputs)]
    lines += [f"{key} = {value}" for key, value in case.options.items()]
    (folder / "reason.txt").write_text("\n".join(lines) + "\n")
