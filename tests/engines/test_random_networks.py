"""Random networks, cut for random caches: every tensor of both engines, at once and one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.network import (
    QConcat,
    QDepthToSpace,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
)
from bpu_common.program import ResizeMode
from bpu_sim import arith
from bpu_sim.engines import OrtEngine, ReferenceEngine
from bpu_sim.engines.ort import part
from bpu_sim.engines.ort.caches import CacheSizes
from tests.engines.test_engines import feeds_of
from tests.support.nets_codes import NetBuilder

CLAMPS = [(-128, 127), (0, 127), (0, 77), (-20, 30), (5, 5)]


@st.composite
def networks(draw: st.DrawFn) -> tuple[NetBuilder, list[str]]:
    """A builder with 3 to 14 operations over maps up to 24x24, and the outputs to ask for."""
    net = NetBuilder(draw(st.integers(0, 2**32 - 1)))
    size = (draw(st.integers(2, 24)), draw(st.integers(2, 24)))
    live = [net.input("x", (*size, draw(st.sampled_from([1, 3, 8, 16, 24]))))]
    for _ in range(draw(st.integers(3, 14))):
        x = draw(st.sampled_from(live[-3:]))
        live.append(_grow(draw, net, x, live))
    outputs = draw(st.lists(st.sampled_from(live[1:]), min_size=1, max_size=3, unique=True))
    return net, outputs


def _grow(draw: st.DrawFn, net: NetBuilder, x: str, live: list[str]) -> str:
    """One more operation that reads `x`; the tensor it makes."""
    height, width, channels = net.tensors[x].shape_hwc
    kinds = ["conv", "conv", "depthwise", "lut", "scale", "pad", "slice", "resize", "concat"]
    like = [name for name in live if net.tensors[name].shape_hwc == (height, width, channels)]
    kinds += ["sum", "mul"] * 2 + (["pool"] if min(height, width) > 2 else [])
    kinds += ["space"] if channels % 4 == 0 else []
    kind = draw(st.sampled_from(kinds if height * width < 1024 else ["pool", "slice", "conv"]))
    clamp = draw(st.sampled_from(CLAMPS))
    name, y = net.names()
    match kind:
        case "conv" | "depthwise":
            groups = channels if kind == "depthwise" else 1
            outputs = channels if kind == "depthwise" else draw(st.sampled_from([4, 8, 16, 20, 32]))
            kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 1)]))
            stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
            pads = (kernel[0] // 2, kernel[1] // 2) * 2
            return net.conv(x, outputs, kernel, stride, pads, groups, clamp)
        case "sum" | "mul":
            other = draw(st.sampled_from(like))
            return net.sum(x, other, clamp) if kind == "sum" else net.mul(x, other, clamp)
        case "scale":
            return net.scale(x)
        case "lut":
            table = net.rng.integers(-128, 128, (draw(st.sampled_from([1, channels])), 256))
            return net.add(QLut(name, x, y, table.astype(np.int8)), (height, width, channels))
        case "pool":
            op = QMaxPool(name, x, y, (3, 2), (2, 2), (1, 0, 1, 0))
            return net.add(op, ((height - 1) // 2 + 1, width // 2, channels))
        case "pad":
            return net.add(
                QPad(name, x, y, (1, 0, 2, 1), clamp[0]), (height + 3, width + 1, channels)
            )
        case "slice":
            box = ((height + 1) // 2, width, max(channels - 1, 1))
            return net.add(QSlice(name, x, y, (0, 0, channels - box[2]), (2, 1, 1)), box)
        case "resize":
            mode = draw(st.sampled_from(list(ResizeMode)))
            out = draw(st.sampled_from([(2 * height, 2 * width), (max(height - 1, 1), width + 2)]))
            axes = [
                arith.resize_axis(a, b, mode) for a, b in zip((height, width), out, strict=True)
            ]
            return net.add(QResize(name, x, y, mode, *axes), (*out, channels))
        case "concat":
            others = (x, draw(st.sampled_from(like)))
            return net.add(QConcat(name, others, y, 2), (height, width, 2 * channels))
        case _:
            op = QDepthToSpace(name, x, y, 2, to_space=True, dcr=draw(st.booleans()))
            return net.add(op, (2 * height, 2 * width, channels // 4))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=networks(), strip_bytes=st.sampled_from([1 << 9, 1 << 12, 3 << 18]))
def test_every_tensor(made: tuple[NetBuilder, list[str]], strip_bytes: int) -> None:
    net, outputs = made
    network = net.network(outputs)
    feeds = feeds_of(network, net.seed)
    wanted = ReferenceEngine(network).run(feeds, network.tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "machine_sizes", lambda: CacheSizes(strip_bytes, 4 * strip_bytes))
        engine = OrtEngine(network)
        got = engine.run(feeds)
        kept = engine.run(feeds, network.tensors)
    assert kept.keys() == wanted.keys()
    for name, array in (*got.items(), *kept.items()):
        np.testing.assert_array_equal(array, wanted[name], name)
