"""Cost of the whole command `hb_mapper makertbin`, of this tree and of another one.

Three networks with photos: EfficientNet-Lite0 and CenterFace with 100 and `default`, U2-Net's form
with 20 and `max`. Each conversion is a process of its own; with two trees they take turns. Weights
are rounded to nearest and codes are symmetric in both, as in the other tree; what rounding weights
together and all codes add to it is measured beside.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import yaml

from benchmarks.accuracy import DATA, PHOTOS
from benchmarks.u2net import u2net
from bpu_common.errors import BpuError
from bpu_host.cli import caldata

ROUNDS = 3
PLAIN = {"weight_rounding": "nearest", "all_codes": "off"}
"""What a tree from before these keys does."""
MOST_ADDED = 1.5
"""Of the CPU time without the accuracy options, that a conversion with them may take."""
HERE = Path(sys.executable).parent / "hb_mapper"


@dataclass(frozen=True, slots=True)
class Case:
    """A conversion.

    Attributes:
        scale: of each channel; None: the model takes pixels as they are.
        most_ratio: to the wall time of the tree it is held against.
        most_mb: of peak memory.
    """

    name: str
    size: int
    samples: int
    method: str
    mean: str | None
    scale: str | None
    most_ratio: float
    most_mb: float


CASES = (
    Case("efficientnet-lite0_224", 224, 100, "default", "127", "0.0078125", 0.6, 300),
    Case("centerface_512", 512, 100, "default", None, None, 0.7, 1000),
    Case("u2net", 320, 20, "max", "127", "0.0078125", 0.43, 1500),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds on the clock, seconds of all processors, peak memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


_LAUNCH = """
import json, os, resource, subprocess, sys, time
start_s = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
wall_s = time.perf_counter() - start_s
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""A small process between: the peak of a child begins with the memory of what started it."""


def run(command: Path, config: Path) -> Cost:
    """One conversion, beside its configuration.

    Args:
        command: an `hb_mapper`.

    Raises:
        BpuError: it failed.
    """
    words = [str(command), "makertbin", "--model-type", "onnx", "-c", str(config)]
    log = config.with_suffix(".txt")
    # Where the environment forbids it, every run would compile all modules anew.
    kept = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with log.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-S", "-c", _LAUNCH, *words],
            cwd=config.parent,
            env=kept,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            check=False,
        )
    status, wall_s, cpu_s, peak_kb = json.loads(done.stdout)
    if status:
        raise BpuError(log.read_text()[-2000:])
    return Cost(wall_s, cpu_s, peak_kb / 1024)


def prepared(case: Case, folder: Path) -> tuple[Path, Path]:
    """Configurations with and without the accuracy options, with samples and model beside them."""
    model = DATA / "models" / f"{case.name}.onnx"
    if case.name == "u2net":
        model = folder / "u2net.onnx"
        onnx.save(u2net(case.size), model)
    samples = folder / f"{case.name}_cal"
    samples.mkdir()
    recipe = caldata.Recipe((case.size, case.size), dtype="uint8")
    photos = sorted(PHOTOS.glob("*.jpg"))
    for path in photos[:: len(photos) // case.samples][: case.samples]:
        pixels = caldata.crop(path, recipe).transpose(2, 0, 1)
        (samples / f"{path.stem}.rgb").write_bytes(pixels.tobytes())
    groups = configuration(case, model, samples)
    full, plain = folder / f"{case.name}.yaml", folder / f"{case.name}_plain.yaml"
    full.write_text(yaml.safe_dump(groups))
    groups["calibration_parameters"] |= PLAIN
    plain.write_text(yaml.safe_dump(groups))
    return full, plain


def configuration(case: Case, model: Path, samples: Path) -> dict[str, dict[str, object]]:
    """The YAML, as values."""
    inputs: dict[str, object] = {
        "input_type_train": "rgb",
        "input_layout_train": "NCHW",
        "input_shape": f"1x3x{case.size}x{case.size}",
        "input_type_rt": "nv12",
        "norm_type": "no_preprocess",
    }
    if case.scale is not None:
        norm = {"norm_type": "data_mean_and_scale", "mean_value": case.mean}
        inputs.update(norm, scale_value=case.scale)
    return {
        "model_parameters": {
            "onnx_model": str(model),
            "output_model_file_prefix": "net",
            "working_dir": str(samples.parent / f"{case.name}_out"),
        },
        "input_parameters": inputs,
        "calibration_parameters": {
            "cal_data_dir": str(samples),
            "cal_data_type": "uint8",
            "calibration_type": case.method,
        },
        "compiler_parameters": {"compile_mode": "latency", "optimize_level": "O3"},
    }


def rows(
    folder: Path, against: Path | None, names: Sequence[str] = (), rounds: int = ROUNDS
) -> Iterator[tuple[str, bool]]:
    """A line of the table for each case, and whether its marks are met.

    Args:
        folder: for models, samples and products.
        against: another tree with a `.venv`.
        names: of the cases; none: all.
    """
    for case in CASES:
        if names and case.name not in names:
            continue
        full, plain = prepared(case, folder)
        runs = [(HERE, plain), (HERE, full)]
        if against:  # it does not know the keys
            runs.append((against / ".venv" / "bin" / "hb_mapper", full))
        costs = [[run(*each) for each in runs] for _ in range(rounds)]
        wall, cpu, peak = (
            [statistics.median(getattr(each[i], key) for each in costs) for i in range(len(runs))]
            for key in ("wall_s", "cpu_s", "peak_mb")
        )
        added = statistics.median(each[1].cpu_s / each[0].cpu_s for each in costs)
        ratio = statistics.median(each[0].wall_s / each[-1].wall_s for each in costs)
        cpu_ratio = statistics.median(each[0].cpu_s / each[-1].cpu_s for each in costs)
        shown = f"{ratio:.2f} | {cpu_ratio:.2f}" if against else "- | -"
        cells = (
            " / ".join(f"{value:.{n}f}" for value in each)
            for each, n in ((wall, 1), (cpu, 1), (peak, 0))
        )
        met = max(peak[:2]) <= case.most_mb and (against is None or ratio <= case.most_ratio)
        label = f"{case.name}, {case.samples} photos, {case.method}"
        yield (
            f"| {label} | {' | '.join(cells)} | {shown} | {added:.2f} |",
            met and added <= MOST_ADDED,
        )


def report(folder: Path, against: Path | None, names: Sequence[str], rounds: int) -> bool:
    """Print the section; whether all marks are met."""
    print("## Conversion: the whole command\n")
    print("| | wall s | CPU s | peak MB | wall ratio | CPU ratio | options on |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    good = True
    for line, met in rows(folder, against, names, rounds):
        print(line, flush=True)
        good = good and met
    what = "without / with the accuracy options"
    what += f" / {against.name or against}, which take turns" if against else ""
    marks = ", ".join(f"{c.name} {c.most_ratio:g} and {c.most_mb:g} MB" for c in CASES)
    print(
        f"\nMedians of {rounds} rounds, {what}. Ratios: without the options to the other tree; "
        f"options on: CPU time with them to without (mark {MOST_ADDED:g}). "
        f"Marks for wall ratio and peak memory: {marks}.\n"
    )
    return good
