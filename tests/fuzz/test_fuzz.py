"""As many random networks as fit into the time: all engines must agree on every bit."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from bpu_host.compiler.config.values import AllCodes, WeightRounding
from tests.fuzz import edges, grammar
from tests.fuzz.campaign import run_for
from tests.fuzz.case import LEVELS

BUDGET_S = 40.0


def test_random_networks(tmp_path: Path) -> None:
    first = random.SystemRandom().randrange(1 << 31)
    print(f"seeds from {first}; one again: python -m tests.fuzz --seed N")
    summary = run_for(first, BUDGET_S, tmp_path)
    assert not summary.problems, f"models in {tmp_path}\n{summary.text()}"
    assert len(summary.refusals) <= max(2, 0.1 * summary.networks), summary.text()


def test_a_seed_is_one_case() -> None:
    for seed in range(10):
        one, other = grammar.case_of(seed), grammar.case_of(seed)
        assert one.model.SerializeToString() == other.model.SerializeToString()
        assert (one.inputs, one.options) == (other.inputs, other.options)


def test_what_is_drawn() -> None:
    """Every level, mode and family comes up, and enough networks lie at edges of exactness."""
    cases = [grammar.case_of(seed) for seed in range(200)]
    kinds = Counter(case.kind for case in cases)
    assert set(kinds) == {*grammar.SIZES, *(f"edge: {family}" for family in edges.FAMILIES)}
    assert sum(kinds[f"edge: {family}"] for family in edges.FAMILIES) >= 0.05 * len(cases)
    assert {case.options["optimize_level"] for case in cases} == set(LEVELS)
    assert {case.options["compile_mode"] for case in cases} == {"latency", "bandwidth"}
    assert {case.options["all_codes"] for case in cases} == set(AllCodes)
    assert {case.options["weight_rounding"] for case in cases} == set(WeightRounding)
    for key in ("run_on_cpu", "output_nodes"):
        assert {len(case.options.get(key, ())) for case in cases} >= {0, 1, 2}
    sizes = [len(case.model.graph.node) for case in cases if case.kind in grammar.SIZES]
    assert min(sizes) < 8
    assert max(sizes) > 40
