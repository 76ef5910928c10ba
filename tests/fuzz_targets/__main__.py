"""Run fuzz targets one after the other: `python -m tests.fuzz_targets --runs 100000 --cpu-s 600`.

Each runs in a process of its own, beginning with its seeds and the inputs of `corpus/`, until both
the executions and the CPU time are reached. Ends with a table, and status 1 where something was
found; what was found lies in the folder `found` of the output.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz_targets.corpora import NAMES, corpus_files

_STATUS = re.compile(r"#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_COUNTERS = re.compile(r"\((\d+) inline 8-bit counters\)")
_MOST_ENDS = 5
"""A process that ended by an input is started again so often."""


@dataclass
class Figures:
    """What the runs of one target came to."""

    executions: int = 0
    cpu_s: float = 0.0
    coverage: int = 0
    counters: int = 0
    inputs: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    harms: list[str] = field(default_factory=list)

    def take(self, text: str) -> None:
        """Read what a process printed."""
        for match in _STATUS.finditer(text):
            self.coverage = max(self.coverage, int(match[1]))
            self.inputs = int(match[3])
        if match := _COUNTERS.search(text):
            self.counters = int(match[1])
        self.harms += re.findall(r"^FOUND (.*)$", text, re.MULTILINE)
        if match := re.search(r"^RESULT (.*)$", text, re.MULTILINE):
            told = json.loads(match[1])
            self.executions += told["executions"]
            self.answers = told["answers"]
            if len(self.answers) < 2:  # a target that says the same to everything looks at nothing
                self.harms.append(f"one answer to all inputs: {', '.join(self.answers)}")
        else:
            executed = re.findall(r"^#(\d+)\s", text, re.MULTILINE)
            self.executions += int(executed[-1]) if executed else 0
            last = [line for line in text.splitlines() if "ERROR: " in line or "Test unit" in line]
            self.harms.append("; ".join(last)[-200:] or f"it ended: {text[-200:]!r}")


def fuzz(name: str, options: argparse.Namespace) -> Figures:
    """Run one target until it has had enough."""
    figures = Figures()
    found, corpus = options.output / "found", options.output / "corpus" / name
    for folder in (found, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for path in corpus_files(name):
        shutil.copy(path, corpus)
    log = options.output / f"{name}.log"
    log.unlink(missing_ok=True)
    for attempt in range(_MOST_ENDS):
        left = max(options.runs - figures.executions, 0)
        command = [sys.executable, "-m", "tests.fuzz_targets.fuzzer", name]
        command += ["--runs", str(left), "--cpu-s", str(max(options.cpu_s - figures.cpu_s, 0))]
        command += ["--seed", str(options.seed + attempt), "--corpus", str(corpus)]
        command += ["--found", str(found)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with log.open("a") as file:
            begun = file.tell()
            ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures.cpu_s += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures.take(log.read_bytes()[begun:].decode(errors="replace"))
        if ended.returncode == 0:
            break
    return figures


def row(name: str, figures: Figures) -> str:
    """A line of the table."""
    answers = ", ".join(f"{count} {each}" for each, count in sorted(figures.answers.items()))
    return (
        f"| {name} | {figures.executions:,} | {figures.cpu_s:.0f} | {figures.coverage:,} "
        f"| {figures.inputs:,} | {len(figures.harms)} | {answers} |"
    )


def main() -> int:
    """Run the targets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, default=10_000, help="executions, at least")
    parser.add_argument("--cpu-s", type=float, default=20.0, help="CPU seconds, at least")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--output", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"no targets: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    options.output = options.output.resolve()
    print(f"seed {options.seed}, output in {options.output}\n")
    print("| target | executions | CPU s | branches covered | inputs kept | found | answers |")
    print("|---|---|---|---|---|---|---|")
    found: list[str] = []
    for name in options.names or NAMES:
        figures = fuzz(name, options)
        print(row(name, figures), flush=True)
        found += [f"{name}: {harm}" for harm in figures.harms]
    for harm in found:
        print(f"\n- {harm}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
