"""ONNX's node tests of Debian's libonnx-testdata: as they are, and beside a Conv.

No internal fault, nothing wrong, and every `.bin` runs. What is refused is counted: the figures
below may only fall.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.support import node_tests
from tests.support.node_tests import FAULT, REFUSED, WRONG, Outcome

pytestmark = pytest.mark.system

TESTS = 932
MOST_REFUSED_BESIDE = 130
MOST_REFUSED_ALONE = 932
"""Nearly all: a model without a convolution has no work for the BPU."""


def _all(attempt: Callable[[str], Outcome]) -> list[Outcome]:
    names = node_tests.names()
    assert len(names) == TESTS
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return list(pool.map(attempt, names, chunksize=8))


def _of(kind: str, outcomes: list[Outcome]) -> list[str]:
    return [f"{each.name}: {each.detail}" for each in outcomes if each.kind == kind]


@pytest.mark.parametrize(
    ("attempt", "most_refused"),
    [
        (node_tests.try_beside, MOST_REFUSED_BESIDE),
        (node_tests.try_alone, MOST_REFUSED_ALONE),
    ],
    ids=["beside a Conv", "as they are"],
)
def test_node_tests(attempt: Callable[[str], Outcome], most_refused: int) -> None:
    outcomes = _all(attempt)
    assert _of(FAULT, outcomes) == []
    assert _of(WRONG, outcomes) == []
    refused = _of(REFUSED, outcomes)
    assert len(refused) <= most_refused, "\n".join(refused)
