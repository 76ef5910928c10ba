"""Run every benchmark and write `benchmarks/RESULTS.md`: figures, command, versions, date.

Each benchmark is a module with a `__main__` that prints one Markdown section and exits non-zero
when a mark is missed. Models and photos that are not part of the project are looked for in
`BENCH_DATA` (default `../shared`), Caffe models in `BENCH_MODELS` (default `../models`); a
benchmark that needs them fails and says so.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = (
    "benchmarks.conversion",
    "benchmarks.accuracy",
    "benchmarks.fastpath",
    "benchmarks.kernel_shares",
    "benchmarks.perf_speed",
    "benchmarks.remote_infer",
    "benchmarks.fairness",
    "benchmarks.transport",
    "benchmarks.fidelity",
    "benchmarks.preemption",
    "benchmarks.top_demo",
    "benchmarks.startup",
    "benchmarks.caffe_models",
)
VERSIONED = ("numpy", "onnx", "onnxruntime", "grpcio", "protobuf")


def environment() -> str:
    """Machine and versions, one line each."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONED)
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"- {os.cpu_count()} cores, {cpu}\n"
        f"- Python {platform.python_version()}, {versions}\n"
        f"- {dt.datetime.now(dt.UTC):%Y-%m-%d}\n"
    )


def main() -> int:
    chosen = [name for name in BENCHMARKS if not sys.argv[1:] or name.split(".")[1] in sys.argv[1:]]
    sections: list[str] = []
    failed: list[str] = []
    for name in chosen:
        print(f"== {name}", flush=True)
        start_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", name], cwd=ROOT, capture_output=True, text=True, check=False
        )
        print(done.stdout, done.stderr, sep="", flush=True)
        verdict = (
            "" if done.returncode == 0 else "\n**A mark is missed or the benchmark failed.**\n"
        )
        if done.returncode != 0:
            failed.append(name)
        sections.append(
            f"{done.stdout.strip()}\n{verdict}\n"
            f"`python -m {name}`, {time.monotonic() - start_s:.0f} s\n"
        )
    if not sys.argv[1:]:
        text = "# Results of `make bench`\n\n" + environment() + "\n" + "\n".join(sections)
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text)
    if failed:
        print(f"failed or missed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
