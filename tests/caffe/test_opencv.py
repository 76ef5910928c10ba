"""Each layer against OpenCV's own reader and arithmetic, from the same two files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.caffe.opencv_cases import CASES, Case
from tests.support import caffe_nets as nets


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_layer_gives_the_numbers_of_opencv(tmp_path: Path, case: Case) -> None:
    names = [f"x{index}" for index in range(len(case.bottoms))]
    tops = ["it"] if case.tops == 1 else [f"y{index}" for index in range(case.tops)]
    shapes = dict(zip(names, case.bottoms, strict=True))
    feed = nets.noise(shapes)
    blobs = list(nets.noise({str(i): shape for i, shape in enumerate(case.blobs)}, 1).values())
    if case.like == "positive":
        blobs = [np.abs(each) + 0.5 for each in blobs]
    text = nets.inputs(shapes) + nets.layer(case.kind, names, tops, case.more)
    files = nets.write(tmp_path, text, {"it": blobs} if blobs else {})
    own = nets.run(nets.read(files), feed)
    assert list(own) == tops
    others = nets.run_opencv(files, feed)[: len(tops)]  # a maximum's positions come behind it
    for top, other in zip(tops, others, strict=True):
        wanted = other.reshape(own[top].shape)
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(own[top], wanted, rtol=0, atol=1e-5 * scale)
