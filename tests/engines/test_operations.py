"""Every operation, as quantized model and in every engine, against `bpu_sim.arith`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import (
    Addend,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
)
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseEntry, EltwiseKind, Requant, ResizeMode
from bpu_host.compiler.export import quantized_model
from bpu_sim import arith
from bpu_sim.engines import OrtEngine, ReferenceEngine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.caches import machine_sizes
from bpu_sim.engines.ort.graph import write_graph
from tests.support.kernels_library import kernel_engines
from tests.support.nets_codes import NetBuilder, reference

SIZES = st.integers(1, 9)
CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 16, 20, 32])
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=12, deadline=None)


def codes(net: NetBuilder, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random codes with whole rows of extremes."""
    feeds = {}
    for each in net.inputs:
        x = rng.integers(-128, 128, each.tensor.shape).astype(np.int8)
        x[:, 0] = rng.choice(np.array([-128, 127, 0], np.int8))
        x[:, :, 0] = rng.choice(np.array([-128, 127], np.int8), x[:, :, 0].shape)
        feeds[each.tensor.name] = x
    return feeds


def check(net: NetBuilder, outputs: str | list[str], seed: int = 0) -> None:
    """Same bits in stock onnxruntime, and of every tensor from every engine."""
    network = net.network(outputs)
    feeds = codes(net, np.random.default_rng(seed))
    wanted = reference(network, feeds)
    data = quantized_model(network)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    stock = dict(zip(names, session.run(None, feeds), strict=True))
    for name in (output.tensor for output in network.outputs):
        assert stock[name].dtype == wanted[name].dtype
        np.testing.assert_array_equal(stock[name][0], wanted[name])
    for engine in (ReferenceEngine(network), OrtEngine(network), *kernel_engines(network)):
        outputs, kept = engine.run(feeds), engine.run(feeds, network.tensors)
        for name, array in (*outputs.items(), *kept.items()):
            assert array.dtype == wanted[name].dtype, (engine.name, name)
            np.testing.assert_array_equal(array[0], wanted[name], f"{engine.name}: {name}")
        assert kept.keys() == wanted.keys()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_conv(seed: int, data: st.DataObject) -> None:
    draw = data.draw
    net = NetBuilder(seed)
    kind = draw(st.sampled_from(["plain", "depthwise", "grouped", "multiplied"]))
    groups = {"plain": 1, "depthwise": draw(st.sampled_from([3, 16, 20, 32])), "grouped": 2,
              "multiplied": 4}[kind]  # fmt: skip
    c = groups if kind in ("depthwise", "multiplied") else groups * draw(CHANNELS)
    out = groups if kind == "depthwise" else groups * draw(st.sampled_from([2, 3, 8, 16]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    h, w = (draw(st.integers((k - 1) * d + 1, 10)) for k, d in zip(kernel, dilation, strict=True))
    x = net.input("x", (h, w, c))
    if draw(st.booleans()):
        x = net.conv(x, c)  # padded channels and another range as input
    y = net.conv(
        x, out, kernel, (draw(st.integers(1, 2)), draw(st.integers(1, 2))), pads, groups,
        draw(st.sampled_from([(-128, 127), (0, 127), (0, 77)])), dilation,
        int32=draw(st.booleans()),
    )  # fmt: skip
    check(net, y, seed)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_transposed_conv(seed: int, data: st.DataObject) -> None:
    draw = data.draw
    net = NetBuilder(seed)
    groups, c, out = draw(st.sampled_from([(1, 3, 8), (1, 24, 24), (16, 16, 16), (3, 3, 3)]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    upsample = draw(st.sampled_from([(2, 2), (3, 3), (2, 1), (1, 2)]))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    h, w = draw(st.integers(4, 6)), draw(st.integers(4, 6))
    y = net.conv(net.input("x", (h, w, c)), out, kernel, (1, 1), pads, groups, upsample=upsample)
    check(net, y, seed)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_conv_with_padding_code_and_addend(seed: int, data: st.DataObject) -> None:
    draw = data.draw
    net = NetBuilder(seed)
    groups, c, out = draw(st.sampled_from([(1, 3, 8), (1, 20, 24), (16, 16, 16), (2, 4, 6)]))
    upsample = draw(st.sampled_from([(1, 1), (2, 2), (1, 3)]))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    x = net.input("x", (5, 4, c))
    y = net.conv(x, out, (2, 3), (1, 1), pads, groups, upsample=upsample,
                 int32=draw(st.booleans()), pad_code=draw(st.integers(-128, 127)))  # fmt: skip
    if draw(st.booleans()):
        addend = net.input("r", net.tensors[y].shape_hwc)
        count = draw(st.sampled_from([1, out]))
        factors = net.rng.integers(-127, 128, count)
        if draw(st.booleans()):
            addend = net.conv(addend, out)  # padded channels
        op = net.ops.pop(0)
        assert isinstance(op, QConv)
        net.ops.append(replace(op, addend=Addend(addend, tuple(int(f) for f in factors))))
    check(net, y, seed)


@pytest.mark.parametrize("bias", [0, 32767 << 9, -(32768 << 14)])
@pytest.mark.parametrize("int32", [False, True])
def test_sums_beyond_24_bits(bias: int, int32: bool) -> None:
    """Wide layers leave what float32 can add exactly, and so do large biases."""
    net = NetBuilder(3)
    depth = 2000
    weights = net.rng.choice(np.array([-127, 127], np.int8), (16, 1, 1, depth))
    shift = max(bias.bit_length() - 15, 0)
    fixed = [np.full(16, v, np.int32) for v in (bias >> shift, shift, 9, 20000, 22)]
    x = net.input("x", (3, 2, depth))
    y = net.conv(x, 16, params=ChannelParams(*fixed), weights=weights, int32=int32)
    check(net, y)
    network = net.network(y)
    graph = write_graph(network.ops, network, Plans.of(network), [x], [y], machine_sizes())
    assert len(graph.data) < weights.nbytes, "the graph must not hold another copy of the weights"
    assert any(array is weights for array in graph.externals.values())


@few
@given(seed=SEEDS, c=CHANNELS, ratio=st.floats(0.01, 100), out=st.floats(0.01, 4))
def test_add(seed: int, c: int, ratio: float, out: float) -> None:
    net = NetBuilder(seed)
    a, b = net.conv(net.input("a", (4, 5, c)), c), net.input("b", (4, 5, c))
    b = net.conv(b, c) if seed % 2 else b
    check(net, net.sum(a, b, ((-128, 127), (0, 127))[seed % 2], (0.1, 0.1 * ratio, out)), seed)


@few
@given(seed=SEEDS, c=CHANNELS, shape=st.sampled_from(["full", "channel", "one"]))
def test_mul(seed: int, c: int, shape: str) -> None:
    net = NetBuilder(seed)
    shapes = {"full": (4, 5, c), "channel": (1, 1, c), "one": (1, 1, 1)}
    a, b = net.input("a", (4, 5, c)), net.input("b", shapes[shape])
    check(net, net.mul(net.conv(a, c), b), seed)


@few
@given(seed=SEEDS, c=CHANNELS)
def test_add_broadcast(seed: int, c: int) -> None:
    net = NetBuilder(seed)
    a, b = net.input("a", (4, 5, c)), net.input("b", (1, 1, c))
    check(net, net.sum(net.conv(a, c), b), seed)


@few
@given(seed=SEEDS, c=CHANNELS, s_x=st.floats(-0.2, 0.2).filter(lambda v: abs(v) > 1e-3))
def test_scale(seed: int, c: int, s_x: float) -> None:
    net = NetBuilder(seed)
    check(net, net.scale(net.input("a", (3, 3, c)), s_x), seed)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, c=CHANNELS, kind=st.sampled_from(list(EltwiseKind)), per_channel=st.booleans(),
       small=st.sampled_from(["no", "channel", "one"]),
       out_shift=st.sampled_from([5, 23]))  # fmt: skip
def test_eltwise_entries(
    seed: int, c: int, kind: EltwiseKind, per_channel: bool, small: str, out_shift: int
) -> None:
    """Entries per channel, zero points, shifts that no float32 form has."""
    net = NetBuilder(seed)
    shapes = {"no": (4, 5, c), "channel": (1, 1, c), "one": (1, 1, 1)}
    a, b = net.input("a", (4, 5, c)), net.input("b", shapes[small])
    a = net.conv(a, c) if seed % 2 else a
    b = net.conv(b, net.tensors[b].shape_hwc[2]) if seed % 3 else b
    entries = []
    for _ in range(c if per_channel else 1):
        ka, kb = (int(k) for k in net.rng.integers(-127, 128, 2))
        shift = int(net.rng.integers(0, 8))
        requant = Requant(int(net.rng.integers(-999, 999)), shift, 20001, out_shift)
        entries.append(EltwiseEntry(ka, kb, requant))
    zeros = tuple(int(zero) for zero in net.rng.integers(-128, 128, 2))
    op = QEltwise(
        "e", kind, a, None if kind is EltwiseKind.SCALE else b, "y", tuple(entries),
        ((-128, 127), (0, 100))[seed % 2], (zeros[0], zeros[1]),
    )  # fmt: skip
    check(net, net.add(op, (4, 5, c)), seed)


def test_eltwise_with_a_tiny_out_shift() -> None:
    """No float32 form: the float64 body must be there."""
    net = NetBuilder()
    a, b = net.input("a", (3, 3, 16)), net.input("b", (3, 3, 16))
    op = QEltwise(
        "e", EltwiseKind.MUL, a, b, "y", (EltwiseEntry(1, 1, Requant(3, 0, 20001, 5)),), (-128, 127)
    )
    net.add(op, (3, 3, 16))
    check(net, "y")


@few
@given(seed=SEEDS, c=CHANNELS, per_channel=st.booleans())
def test_lut(seed: int, c: int, per_channel: bool) -> None:
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (3, 4, c)), c)
    tables = net.rng.integers(-128, 128, (c if per_channel else 1, 256)).astype(np.int8)
    check(net, net.add(QLut("l", x, "y", tables), (3, 4, c)), seed)


@few
@given(seed=SEEDS, c=CHANNELS, k=st.integers(1, 4), stride=st.integers(1, 3))
def test_max_pool(seed: int, c: int, k: int, stride: int) -> None:
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (7, 6, c)), c)
    pads = tuple(int(v) for v in net.rng.integers(0, k, 4))
    size = [(n + pads[i] + pads[i + 2] - k) // stride + 1 for i, n in enumerate((7, 6))]
    check(net, net.add(QMaxPool("p", x, "y", (k, k), (stride, stride), pads), (*size, c)), seed)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, c=CHANNELS, size=st.tuples(SIZES, SIZES, SIZES, SIZES), bilinear=st.booleans(),
       mode=st.sampled_from(["half_pixel", "align_corners", "asymmetric"]))  # fmt: skip
def test_resize(seed: int, c: int, size: tuple[int, ...], bilinear: bool, mode: str) -> None:
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (size[0], size[1], c)), c)
    kind = ResizeMode.BILINEAR if bilinear else ResizeMode.NEAREST
    out = (size[0] * 2, size[1] * 2) if seed % 3 == 0 else (size[2], size[3])
    axes = [arith.resize_axis(a, b, kind, mode) for a, b in zip(size[:2], out, strict=True)]
    check(net, net.add(QResize("r", x, "y", kind, *axes), (*out, c)), seed)


@few
@given(seed=SEEDS, axis=st.integers(0, 2), parts=st.lists(CHANNELS, min_size=1, max_size=3))
def test_concat(seed: int, axis: int, parts: list[int]) -> None:
    net = NetBuilder(seed)
    xs, total = [], 0
    for i, part in enumerate(parts):
        shape = [4, 5, 8]
        shape[axis] = part
        total += part
        x = net.input(f"x{i}", tuple(shape))
        xs.append(net.conv(x, shape[2]) if i % 2 else x)
    shape = [4, 5, 8]
    shape[axis] = total
    y = net.add(QConcat("c", tuple(xs), "cat", axis), tuple(shape))
    check(net, net.conv(y, 16, (3, 3)), seed)


@few
@given(seed=SEEDS, c=CHANNELS, step=st.tuples(*[st.integers(1, 3)] * 3))
def test_slice(seed: int, c: int, step: tuple[int, int, int]) -> None:
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (7, 8, c)), c)
    start = tuple(int(net.rng.integers(0, n)) for n in (7, 8, c))
    size = tuple((n - b - 1) // s + 1 for n, b, s in zip((7, 8, c), start, step, strict=True))
    check(net, net.add(QSlice("s", x, "y", start, step), size), seed)


@few
@given(
    seed=SEEDS, c=CHANNELS, value=st.integers(-128, 127), pads=st.tuples(*[st.integers(0, 3)] * 4)
)
def test_pad(seed: int, c: int, value: int, pads: tuple[int, int, int, int]) -> None:
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (3, 4, c)), c)
    shape = (3 + pads[0] + pads[2], 4 + pads[1] + pads[3], c)
    y = net.add(QPad("p", x, "y", pads, value), shape)
    check(net, net.conv(y, 8), seed)


@few
@given(seed=SEEDS, to_space=st.booleans(), dcr=st.booleans(), block=st.integers(2, 3))
def test_space_depth(seed: int, to_space: bool, dcr: bool, block: int) -> None:
    net = NetBuilder(seed)
    shape = (2, 3, 4 * block * block) if to_space else (2 * block, 3 * block, 4)
    out = (2 * block, 3 * block, 4) if to_space else (2, 3, 4 * block * block)
    x = net.conv(net.input("x", shape), shape[2])
    check(net, net.add(QDepthToSpace("d", x, "y", block, to_space, dcr), out), seed)
