"""Many seeds, in processes or until a time budget is used up, and the summary of them."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.fuzz.check import Outcome, check


@dataclass(slots=True)
class Summary:
    """Outcomes added up.

    Attributes:
        problems: reason by seed.
        refusals: sentence of the compiler by seed.
    """

    first_seed: int
    networks: int = 0
    seconds: float = 0.0
    problems: dict[int, str] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.networks += 1
        self.counts.update(outcome.counts)
        if outcome.problem:
            self.problems[outcome.seed] = outcome.problem
        if outcome.refusal:
            self.refusals[outcome.seed] = outcome.refusal

    def text(self) -> str:
        """The counts by group, then the failures."""
        what = f"{self.networks} networks from seed {self.first_seed} in {self.seconds:.0f} s"
        lines = [f"{what}: {len(self.problems)} failures, {len(self.refusals)} refused"]
        for group, counts in self._groups().items():
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            lines.append(f"  {group}: {shown}")
        lines += [f"refused {seed}: {sentence}" for seed, sentence in sorted(self.refusals.items())]
        lines += [f"seed {seed}: {problem}" for seed, problem in sorted(self.problems.items())]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {
            "first_seed": self.first_seed,
            "networks": self.networks,
            "seconds": round(self.seconds, 1),
            "failures": {str(seed): problem for seed, problem in sorted(self.problems.items())},
            "refused": {str(seed): text for seed, text in sorted(self.refusals.items())},
            "counts": self._groups(),
        }

    def _groups(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for (group, name), count in sorted(self.counts.items()):
            found.setdefault(group, {})[name] = count
        return found


def run(first: int, count: int, jobs: int, failures: Path) -> Summary:
    """`count` seeds from `first` on, in `jobs` processes."""
    seeds = range(first, first + count)
    work = partial(check, failures=failures)
    if jobs == 1:
        return _add_up(first, map(work, seeds))
    context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    quiet = partial(logging.disable, logging.WARNING)
    with context.Pool(jobs, quiet, maxtasksperchild=200) as pool:
        return _add_up(first, pool.imap_unordered(work, seeds, chunksize=4))


def run_for(first: int, seconds: float, failures: Path) -> Summary:
    """Seeds from `first` on until the time is used up, at least one."""
    ends = time.monotonic() + seconds
    summary = Summary(first)
    while summary.networks == 0 or time.monotonic() < ends:
        summary.add(check(first + summary.networks, failures))
    return summary


def _add_up(first: int, outcomes: Iterable[Outcome]) -> Summary:
    start, summary = time.monotonic(), Summary(first)
    for outcome in outcomes:
        summary.add(outcome)
        if outcome.problem:
            print(f"seed {outcome.seed}: {outcome.problem}", flush=True)
    summary.seconds = time.monotonic() - start
    return summary
