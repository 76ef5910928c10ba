"""From a seed to a case: mostly random graphs of all operators, some at edges of exactness."""

from __future__ import annotations

import random

import onnx

from bpu_common.tensor import Layout
from bpu_host.compiler.config.values import InputConfig
from tests.fuzz import edges
from tests.fuzz.case import Case, featuremap, image, options, random_samples
from tests.fuzz.net import Bounds, Net
from tests.fuzz.pointwise import (
    activation,
    conv_activation,
    squeeze_excite,
    two_tensors,
    with_constant,
)
from tests.fuzz.rearrange import blocks, concat, on_cpu, pad, resize, slice_box, split
from tests.fuzz.windows import conv, conv_transpose, global_pool, pool, stem

EDGES = 0.08
"""Share of networks that `edges` makes."""
SIZES = {
    "small": (0.90, Bounds(elements=16 << 10, macs=4 << 20, channels=512), 24),
    "middle": (0.08, Bounds(elements=128 << 10, macs=24 << 20, channels=512), 64),
    "large": (0.02, Bounds(elements=1 << 20, macs=100 << 20, channels=512), 128),
}
"""Share, bounds, and the largest height and width of an input."""

OPERATORS = {
    conv_activation: 30,
    two_tensors: 12,
    activation: 8,
    concat: 6,
    pool: 6,
    with_constant: 4,
    conv_transpose: 4,
    resize: 4,
    split: 3,
    slice_box: 3,
    pad: 3,
    blocks: 3,
    squeeze_excite: 3,
    on_cpu: 2,
    global_pool: 1,
}


def case_of(seed: int) -> Case:
    """The case of a seed, always the same."""
    choose = random.Random(f"family {seed}")
    if choose.random() < EDGES:
        return edges.case_of(seed)
    names = list(SIZES)
    kind = choose.choices(names, [SIZES[name][0] for name in names])[0]
    _, bounds, extent = SIZES[kind]
    net = Net(seed, bounds)
    inputs = _inputs(net, extent)
    nodes = net.size + net.small(3, 40)
    while net.size < nodes:
        _grow(net)
    model = net.model(_outputs(net))
    chosen = {**options(net.choose), **_named(net, model)}
    return Case(seed, kind, model, inputs, random_samples(seed, inputs), chosen)


def _inputs(net: Net, extent: int) -> tuple[InputConfig, ...]:
    """One input, sometimes two; in `net.shapes` stand the NCHW tensors made of them."""
    inputs = []
    for index in range(1 if net.chance(0.88) else 2):
        name = f"in{index}"
        height, width = net.small(1, extent // 2) * 2, net.small(1, extent // 2) * 2
        if net.chance(0.5):
            each = image(net.choose, name, (height, width))
        else:
            channels = net.small(1, 64)
            layout = net.choose.choice([Layout.NCHW] * 4 + [Layout.NHWC])
            height, width = net.small(1, extent), net.small(1, extent)
            nchw = layout is Layout.NCHW
            shape = (1, channels, height, width) if nchw else (1, height, width, channels)
            each = featuremap(name, shape, layout)
        x = net.input(name, each.shape)
        height, width, channels = each.shape_hwc
        if each.train_layout is Layout.NCHW:
            net.shapes[x] = (channels, height, width)
        else:
            x = net.node("Transpose", [x], (channels, height, width), perm=[0, 3, 1, 2])
        stem(net, x)
        inputs.append(each)
    return tuple(inputs)


def _named(net: Net, model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Convolutions that the user keeps off the BPU, or ends the model with; none as a rule."""
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    key = net.choose.choice(["", "", "", "run_on_cpu", "run_on_cpu", "output_nodes"])
    count = min(net.choose.choice([1, 1, 2, 3]), len(names))
    return {key: tuple(net.choose.sample(names, count))} if key else {}


def _grow(net: Net) -> None:
    """One more operator, behind a recent tensor as a rule; what nobody reads comes first."""
    known = list(net.shapes)
    x = net.choose.choice(net.leaves) if net.chance(0.7) else net.choose.choice(known[-6:])
    operators = list(OPERATORS)
    net.choose.choices(operators, list(OPERATORS.values()))[0](net, x)


def _outputs(net: Net) -> list[str]:
    """Everything that nobody reads, most of it behind a last convolution; sometimes more."""
    outputs = []
    for leaf in net.leaves:
        head = conv(net, leaf) if net.chance(0.6) else None
        outputs.append(head or leaf)
    if net.chance(0.15):
        outputs.append(net.choose.choice([name for name in net.shapes if name.startswith("t")]))
    return list(dict.fromkeys(outputs))
