"""Fully connected layers over maps beyond 7x7 are one convolution of the BPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpu_common.network import Place
from tests.support.convert_net import convert
from tests.support.nets_front import Net


def flattened(height: int, width: int, channels: int, *, read: bool = False):
    """A Conv, a Gemm over its whole map, and with `read` Relu and Gemm behind it."""
    net = Net([1, 3, height, width])
    x = net.add("Flatten", net.conv("data", (3, channels), name="c"))
    y = net.add("Gemm", x, net.weights(10, height * width * channels), name="fc", transB=1)
    if read:
        y = net.add("Gemm", net.add("Relu", y, name="r"), net.weights(5, 10), name="g", transB=1)
    return net.model(y)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("size", [(8, 8, 64), (11, 11, 16), (9, 14, 8), (31, 4, 8), (2, 31, 8)])
def test_one_convolution(size: tuple[int, int, int], read: bool, tmp_path: Path) -> None:
    found = convert(tmp_path, flattened(*size, read=read))
    assert found.on["fc"] == "BPU"
    assert "fc_reshape_in" not in found.on
    parts = [part for part in found.compiled.network.parts if part.place is Place.BPU]
    assert len(parts) == 1
    assert found.sqnr_db() > 25


@pytest.mark.parametrize("size", [(8, 16, 4), (32, 3, 4)])
def test_beyond_it_the_flattened_row_is_read(size: tuple[int, int, int], tmp_path: Path) -> None:
    found = convert(tmp_path, flattened(*size))
    assert found.on["fc_reshape_in"] == "CPU"
    assert found.on["fc"] == "BPU"
    assert found.sqnr_db() > 25
