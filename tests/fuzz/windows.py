"""Random convolutions, transposed convolutions and pools."""

from __future__ import annotations

import numpy as np

from tests.fuzz.net import Net, Shape

Pair = tuple[int, int]


def weights(net: Net, shape: tuple[int, ...], outputs_axis: int, fan_in: int) -> np.ndarray:
    """Weights that keep the variance; channels of unlike strength, sometimes extreme ones."""
    made = net.values.normal(0, np.sqrt(1.5 / fan_in), shape)
    strength = np.exp(net.values.normal(0, 0.5, shape[outputs_axis]))
    if net.chance(0.1):
        strength[net.values.integers(len(strength))] = net.choose.choice([0.0, 1e-5, 1e3])
    if net.chance(0.1):  # all codes +-127
        made = np.sign(made) * np.sqrt(1.0 / fan_in)
    along = [1] * len(shape)
    along[outputs_axis] = -1
    return made * strength.reshape(along)


def bias(net: Net, channels: int) -> list[str]:
    """A bias in most cases."""
    if net.chance(0.25):
        return []
    deviation = net.choose.choice([0.1, 0.1, 0.5, 20.0])
    return [net.constant(net.values.normal(0, deviation, channels))]


def _kernel(net: Net, limit: int, size: int) -> int:
    """1 or 3 as a rule, up to `limit`, and no larger than the padded map allows."""
    drawn = net.choose.choice([1, 1, 3, 3, 3, net.choose.randint(1, limit)])
    return min(drawn, size)


def _pads(net: Net, kernel: Pair, dilation: Pair) -> tuple[int, int, int, int]:
    """SAME, none, or any amounts below the window's reach."""
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    kind = net.choose.choice(["same", "same", "none", "any"])
    if kind == "same":
        return (reach[0] // 2, reach[1] // 2, reach[0] - reach[0] // 2, reach[1] - reach[1] // 2)
    if kind == "none":
        return (0, 0, 0, 0)
    top, left, bottom, right = (net.choose.randint(0, min(reach[i % 2], 6)) for i in range(4))
    return top, left, bottom, right


def _out(size: int, kernel: int, stride: int, dilation: int, pads: Pair) -> int:
    return (size + sum(pads) - (kernel - 1) * dilation - 1) // stride + 1


def _groups(net: Net, channels: int) -> tuple[int, int]:
    """(groups, output channels)."""
    outputs = net.small(1, min(net.bounds.channels, 512 if net.chance(0.1) else 64))
    kind = net.choose.choice(["dense", "dense", "dense", "depthwise", "multiplied", "grouped"])
    if kind == "depthwise":
        return channels, channels
    if kind == "multiplied":
        return channels, channels * net.choose.randint(1, 3)
    shared = [g for g in (2, 3, 4, 8) if channels % g == 0]
    if kind == "grouped" and shared:
        groups = net.choose.choice(shared)
        return groups, groups * net.choose.randint(1, 16)
    return 1, outputs


def stem(net: Net, x: str) -> str:
    """A first convolution that the chip always takes."""
    channels, height, width = net.shapes[x]
    outputs, kernel = net.small(1, 32), net.choose.choice([1, 3])
    kernels = weights(net, (outputs, channels, kernel, kernel), 0, channels * kernel**2)
    return net.node(
        "Conv",
        [x, net.constant(kernels), *bias(net, outputs)],
        (outputs, height, width),
        kernel_shape=[kernel] * 2,
        pads=[kernel // 2] * 4,
    )


def conv(net: Net, x: str) -> str | None:
    """Conv: dense, grouped or depthwise; strides, dilations, uneven pads, auto_pad."""
    channels, height, width = net.shapes[x]
    groups, outputs = _groups(net, channels)
    kernel = (_kernel(net, 7, height), _kernel(net, 7, width))
    if net.chance(0.6):
        kernel = (min(kernel), min(kernel))
    dilation = net.choose.choice([(1, 1)] * 6 + [(2, 2), (1, 2), (3, 3), (4, 4)])
    stride = net.choose.choice([(1, 1)] * 4 + [(2, 2), (2, 2), (1, 2), (3, 2), (5, 4)])
    pads = _pads(net, kernel, dilation)
    size = tuple(
        _out((height, width)[i], kernel[i], stride[i], dilation[i], (pads[i], pads[i + 2]))
        for i in range(2)
    )
    shape: Shape = (outputs, size[0], size[1])
    fan_in = channels // groups * kernel[0] * kernel[1]
    macs = outputs * size[0] * size[1] * fan_in
    if not net.fits(shape, macs):
        return None
    net.macs += macs
    placed: dict[str, object] = {"pads": pads}
    if stride == (1, 1) == dilation and size == (height, width) and net.chance(0.3):
        upper = pads[0] <= pads[2] and pads[1] <= pads[3]
        placed = {"auto_pad": "SAME_UPPER" if upper else "SAME_LOWER"}
    inputs = [x, net.constant(weights(net, (outputs, channels // groups, *kernel), 0, fan_in))]
    y = net.node(
        "Conv",
        [*inputs, *bias(net, outputs)],
        shape,
        kernel_shape=kernel,
        strides=stride,
        dilations=dilation,
        group=groups,
        **placed,
    )
    return _batch_norm(net, y) if net.chance(0.15) else y


def _batch_norm(net: Net, x: str) -> str:
    channels = net.shapes[x][0]
    gamma, var = (net.values.uniform(0.5, 1.5, channels) for _ in range(2))
    beta, mean = (net.values.normal(0, 0.2, channels) for _ in range(2))
    constants = [net.constant(each) for each in (gamma, beta, mean, var)]
    return net.node("BatchNormalization", [x, *constants], net.shapes[x])


def conv_transpose(net: Net, x: str) -> str | None:
    """ConvTranspose within and beyond what the chip takes."""
    channels, height, width = net.shapes[x]
    kernel = net.choose.choice([(2, 2), (3, 3), (4, 4), (4, 4), (2, 3), (5, 6), (8, 8), (14, 4)])
    stride = net.choose.choice([(2, 2)] * 4 + [(2, 4), (4, 4), (1, 2)])
    pads = tuple(net.choose.randint(0, (kernel[i % 2] - 1) // 2) for i in range(4))
    extra = tuple(net.choose.choice([0, 0, 1]) if stride[i] > 1 else 0 for i in range(2))
    groups = net.choose.choice([1, 1, 1, channels, 2 if channels % 2 == 0 else 1])
    per_group = net.small(1, 32) if groups == 1 else net.choose.randint(1, 2)
    size = tuple(
        ((height, width)[i] - 1) * stride[i] + kernel[i] - pads[i] - pads[i + 2] + extra[i]
        for i in range(2)
    )
    shape: Shape = (per_group * groups, size[0], size[1])
    macs = channels * height * width * per_group * kernel[0] * kernel[1]
    if not net.fits(shape, macs):
        return None
    net.macs += macs
    fan_in = max(1, channels // groups * kernel[0] * kernel[1] // (stride[0] * stride[1]))
    kernels = weights(net, (channels, per_group, *kernel), 1, fan_in)
    return net.node(
        "ConvTranspose",
        [x, net.constant(kernels), *bias(net, shape[0])],
        shape,
        kernel_shape=kernel,
        strides=stride,
        pads=pads,
        group=groups,
        output_padding=extra,
    )


def pool(net: Net, x: str) -> str | None:
    """MaxPool or AveragePool, with ceil_mode and padding."""
    channels, height, width = net.shapes[x]
    kernel = (_kernel(net, 7, height), _kernel(net, 7, width))
    stride = net.choose.choice([(1, 1), (2, 2), (2, 2), (2, 3), (3, 3)])
    pads = tuple(net.choose.choice([0, 0, (kernel[i % 2] - 1) // 2]) for i in range(4))
    ceil_mode = int(net.chance(0.35))
    size = tuple(
        _pooled((height, width)[i], kernel[i], stride[i], (pads[i], pads[i + 2]), ceil_mode)
        for i in range(2)
    )
    shape: Shape = (channels, size[0], size[1])
    if not net.fits(shape):
        return None
    op = net.choose.choice(["MaxPool", "AveragePool"])
    more = {"count_include_pad": int(net.chance(0.6))} if op == "AveragePool" else {}
    return net.node(
        op, [x], shape, kernel_shape=kernel, strides=stride, pads=pads, ceil_mode=ceil_mode, **more
    )


def _pooled(size: int, kernel: int, stride: int, pads: Pair, ceil_mode: int) -> int:
    """Windows of a pool; with `ceil_mode` none begins in the padding at the end."""
    room = size + sum(pads) - kernel
    count = room // stride + 1
    if ceil_mode and room % stride and count * stride < size + pads[0]:
        count += 1
    return count


def global_pool(net: Net, x: str) -> str | None:
    """GlobalAveragePool, sometimes GlobalMaxPool."""
    op = net.choose.choice(["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    return net.node(op, [x], (net.shapes[x][0], 1, 1))
