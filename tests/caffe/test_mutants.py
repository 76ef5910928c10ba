"""A few hundred mutants of layers; more with `python -m tests.caffe.mutants`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.caffe.mutants import mutant, outcome

COUNT = 300


def test_every_mutant_is_refused_or_runs(tmp_path: Path) -> None:
    counts = Counter(outcome(mutant(seed, tmp_path)) for seed in range(COUNT))
    assert min(counts["refused"], counts["runs"]) > COUNT // 5
