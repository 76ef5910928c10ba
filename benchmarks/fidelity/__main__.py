"""`python -m benchmarks.fidelity [--record] [NETWORK ...]`: place, predict, compare, fit.

Every published network is built with random weights, placed by the real compiler and run on the
simulated X3M with the CPU clock of the row's source. Then the fitted constants are fitted again
from the counts of these programs. `--record` writes the counts and the picture of docs/machine.md.
Exit status 1 when a mark is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.fidelity import plot
from benchmarks.fidelity.features import Features, constants_of, features, record
from benchmarks.fidelity.fit import CONSTANTS, LeftOut, error, fit, left_out
from benchmarks.fidelity.lowering import placed
from benchmarks.fidelity.networks import NETWORKS
from benchmarks.fidelity.predict import machine_of, plan_of, predicted
from benchmarks.fidelity.published import Row, published
from benchmarks.fidelity.small import small_layers
from bpu_common.machine import X3M
from bpu_common.model import BpuModel
from bpu_common.task import TaskPlan

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "fidelity.svg"
MEAN, WORST = 0.03, 0.10
"""Marks of latencies of one thread."""
BUSY_MEAN, BUSY_WORST = 0.07, 0.15
"""Marks of throughput, and of latencies of several threads."""
LEFT_OUT_MEAN = 0.05
SMALL = 0.15


def mean(values: Iterable[float]) -> float:
    found = [abs(value) for value in values]
    return sum(found) / len(found)


def worst(values: Iterable[float]) -> float:
    return max(abs(value) for value in values)


def held(name: str, value: float, mark: float) -> bool:
    """Print a mark and whether it holds."""
    print(f"- {name}: {value:.1%}, mark {mark:.0%}{'' if value <= mark else ' **missed**'}")
    return value <= mark


def rows_section(
    rows: Sequence[Row], models: dict[str, BpuModel], points: list[tuple[str, float, float]]
) -> bool:
    """Every row; True when the marks hold. Appends label, published and predicted ms of each."""
    plans: dict[tuple[str, int], TaskPlan] = {}
    alone: list[float] = []
    busy: list[float] = []
    print("| row | network | threads | ms | published | off | frames/s | published | off |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        spec = machine_of(row)
        key = (row.network, row.cpu_mhz)
        plan = plans[key] = plans.get(key) or plan_of(row.network, models[row.network], spec)
        ms, fps = predicted(row, plan, spec)
        off = ms / row.latency_ms - 1
        (alone if row.threads == 1 else busy).append(off)
        points.append((f"{row.row} {row.network}", row.latency_ms, ms))
        cells = "| | |"
        if fps is not None and row.fps_max is not None:
            busy.append(fps / row.fps_max - 1)
            cells = f"{fps:.1f} | {row.fps_max:.1f} | {busy[-1]:+.1%} |"
        print(
            f"| {row.row} | {row.network} | {row.threads} | {ms:.3f} | {row.latency_ms:.3f} "
            f"| {off:+.1%} | {cells}",
            flush=True,
        )
    print()
    checks = [
        held(f"{len(alone)} latencies of one thread, mean", mean(alone), MEAN),
        held("the worst of them", worst(alone), WORST),
    ]
    if busy:
        checks += [
            held(f"{len(busy)} figures of several threads, mean", mean(busy), BUSY_MEAN),
            held("the worst of them", worst(busy), BUSY_WORST),
        ]
    return all(checks)


def fit_section(rows: Sequence[Row], found: dict[str, Features]) -> bool:
    """The constants again, what each network says about them, and what each is worth."""
    best, code = fit(rows, found), constants_of(X3M)
    outside = left_out(rows, found)
    print("\n| constant | in the code | fitted | range, networks left out | mean error without |")
    print("|---|---|---|---|---|")
    for name in CONSTANTS:
        values = [each.constants[name] for each in outside if name not in each.lost]
        alone = [each.network for each in outside if name in each.lost]
        ablated = fit(rows, found, without=(name,))
        without = mean(error(row, found, ablated) for row in rows)
        only = f" ({alone[0]} alone determines it)" if alone else ""
        print(
            f"| `{name}` | {code[name]:g} | {best[name]:.4g} "
            f"| {min(values):.4g} to {max(values):.4g}{only} | {without:.1%} |"
        )
    print("\n| network left out | its rows, predicted by the others |")
    print("|---|---|")
    for each in outside:
        shown = ", ".join(f"{row} {off:+.1%}" for row, off in each.errors.items())
        kept = f" (with its own `{'`, `'.join(each.lost)}`)" if each.lost else ""
        print(f"| {each.network} | {shown}{kept} |")
    print()
    return held("networks left out, mean", mean(_all(outside)), LEFT_OUT_MEAN)


def _all(outside: list[LeftOut]) -> list[float]:
    return [off for each in outside for off in each.errors.values()]


def small_section() -> bool:
    """Published estimates of single layers."""
    print("\n| layer | us | published |")
    print("|---|---|---|")
    offs = []
    for layer, found_us in small_layers(X3M):
        nearest = min(max(found_us, layer.low_us), layer.high_us)
        offs.append(found_us / nearest - 1)
        print(f"| {layer.name} | {found_us:.1f} | {layer.low_us:g} to {layer.high_us:g} |")
    print()
    return held("single layers, worst", worst(offs), SMALL)


def main() -> int:
    parser = argparse.ArgumentParser(description="Predicted against published times on X3M.")
    parser.add_argument("networks", nargs="*", help="names; default: all")
    parser.add_argument("--record", action="store_true", help="write the counts and the picture")
    arguments = parser.parse_args()
    names = arguments.networks or list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        print(f"no network {unknown[0]}; there are {', '.join(NETWORKS)}", file=sys.stderr)
        return 2
    rows = [row for row in published() if row.network in names]
    models = {name: placed(NETWORKS[name](), X3M) for name in names}
    found = {
        name: features(name, model, plan_of(name, model, X3M), X3M)
        for name, model in models.items()
    }
    print("## Fidelity: predicted against published, X3M, one set of constants\n")
    points: list[tuple[str, float, float]] = []
    checks = [rows_section(rows, models, points)]
    if arguments.record and not arguments.networks:
        record(list(found.values()))
        PICTURE.write_text(plot.svg(points))
    if not arguments.networks:
        checks += [fit_section([row for row in rows if row.threads == 1], found), small_section()]
    print("\n| network | share of the BPU time that the array waits |")
    print("|---|---|")
    for name, each in found.items():
        print(f"| {name} | {each.stall_share:.1%} |")
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
