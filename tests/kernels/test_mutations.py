"""Files that were changed and are still accepted run on the kernels as on the reference."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common import container
from bpu_common.container.layout import Section, pack, unpack
from bpu_common.errors import ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.model import BpuModel
from tests.engines.test_golden import FILE
from tests.kernels.test_networks import compare
from tests.support.kernels_library import LIBRARY, SETS

SECTIONS = unpack(memoryview(FILE.read_bytes()))
KINDS = (SectionKind.NETWORK, SectionKind.WEIGHTS)
OPEN = [
    index for index, section in enumerate(SECTIONS) if section.kind in KINDS and len(section.data)
]


def changed(index: int, changes: list[tuple[int, int]]) -> BpuModel | None:
    """The model with other bytes in one section, with right checksums; None: it is refused."""
    content = bytearray(SECTIONS[index].data)
    for at, value in changes:
        content[at % len(content)] = value
    sections = list(SECTIONS)
    sections[index] = Section(sections[index].kind, bytes(content))
    try:
        (model,) = container.loads(pack(sections))
    except ModelFormatError:
        return None
    return model


@pytest.mark.parametrize("set_name", SETS)
def test_changed_files(set_name: str) -> None:
    """At least a twentieth of the changes must come through, or this test would test nothing."""
    counts: Counter[bool] = Counter()

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        index=st.sampled_from(OPEN),
        changes=st.lists(
            st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=3
        ),
        seed=st.integers(0, 99),
    )
    def run(index: int, changes: list[tuple[int, int]], seed: int) -> None:
        model = changed(index, changes)
        counts[model is not None] += 1
        if model is not None:
            compare(model.network, LIBRARY, set_name, 2, seed)

    run()
    assert counts[True] * 20 > counts[False]
