"""Random operators that move values, and operators that only the CPU has."""

from __future__ import annotations

import numpy as np

from tests.fuzz.net import Net, Shape


def _int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def concat(net: Net, x: str) -> str | None:
    """With one or two tensors that fit, along channels, rows or columns."""
    shape = net.shapes[x]
    axis = net.choose.choice([0, 0, 0, 1, 2])
    fitting = [
        name
        for name, other in net.shapes.items()
        if all(other[i] == shape[i] for i in range(3) if i != axis)
    ]
    parts = [x, *(net.choose.choice(fitting) for _ in range(net.choose.randint(1, 2)))]
    net.choose.shuffle(parts)
    made = list(shape)
    made[axis] = sum(net.shapes[part][axis] for part in parts)
    result: Shape = (made[0], made[1], made[2])
    return net.node("Concat", parts, result, axis=axis + 1) if net.fits(result) else None


def split(net: Net, x: str) -> str | None:
    """Equal pieces, all but one of which may stay unread until later."""
    shape = net.shapes[x]
    axis = net.choose.choice([0, 0, 1, 2])
    counts = [n for n in (2, 3, 4) if shape[axis] % n == 0]
    if not counts:
        return None
    count = net.choose.choice(counts)
    piece = tuple(size // count if i == axis else size for i, size in enumerate(shape))
    sizes = net.constant(_int64(*[piece[axis]] * count))
    made = net.nodes("Split", [x, sizes], [(piece[0], piece[1], piece[2])] * count, axis=axis + 1)
    return net.choose.choice(made)


def slice_box(net: Net, x: str) -> str | None:
    """A box with steps, of one axis or of all."""
    shape = net.shapes[x]
    axes = net.choose.sample(range(3), net.choose.randint(1, 3))
    starts, ends, steps, made = [], [], [], list(shape)
    for axis in axes:
        start = net.choose.randint(0, shape[axis] - 1)
        end = net.choose.randint(start + 1, shape[axis])
        step = net.choose.choice([1, 1, 1, 2, 3])
        starts, ends, steps = [*starts, start], [*ends, end], [*steps, step]
        made[axis] = -(-(end - start) // step)
    lists = (starts, ends, [axis + 1 for axis in axes], steps)
    constants = [net.constant(_int64(*each)) for each in lists]
    return net.node("Slice", [x, *constants], (made[0], made[1], made[2]))


def resize(net: Net, x: str) -> str | None:
    """Nearest by factors, linear to any size, by scales or sizes, in all coordinate modes."""
    channels, height, width = net.shapes[x]
    mode = net.choose.choice(["nearest", "linear"])
    factors = net.choose.choice([(2, 2), (2, 2), (2, 4), (1, 2), (4, 4)])
    size = (height * factors[0], width * factors[1])
    if mode == "linear" and net.chance(0.5):
        size = (net.choose.randint(1, 2 * height), net.choose.randint(1, 2 * width))
    shape: Shape = (channels, *size)
    if not net.fits(shape):
        return None
    coordinates = net.choose.choice(
        ["half_pixel", "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    )
    more = {"nearest_mode": net.choose.choice(["floor", "round_prefer_floor"])}
    if size == (height * factors[0], width * factors[1]) and net.chance(0.5):
        target = ["", net.constant(np.array([1, 1, *factors], np.float32))]
    else:
        target = ["", "", net.constant(_int64(1, *shape))]
    return net.node(
        "Resize",
        [x, *target],
        shape,
        mode=mode,
        coordinate_transformation_mode=coordinates,
        **(more if mode == "nearest" else {}),
    )


def pad(net: Net, x: str) -> str | None:
    """Constant padding of height and width."""
    channels, height, width = net.shapes[x]
    top, left, bottom, right = (net.choose.choice([0, 1, 1, 2, 5]) for _ in range(4))
    shape: Shape = (channels, height + top + bottom, width + left + right)
    if not net.fits(shape):
        return None
    value = net.constant(net.choose.choice([0.0, 0.0, 0.5, -1.0]))
    return net.node(
        "Pad", [x, net.constant(_int64(0, 0, top, left, 0, 0, bottom, right)), value], shape
    )


def blocks(net: Net, x: str) -> str | None:
    """DepthToSpace or SpaceToDepth with blocks of 2."""
    channels, height, width = net.shapes[x]
    if channels % 4 == 0 and net.chance(0.6):
        shape: Shape = (channels // 4, height * 2, width * 2)
        mode = net.choose.choice(["DCR", "CRD"])
        return net.node("DepthToSpace", [x], shape, blocksize=2, mode=mode)
    if height % 2 or width % 2:
        return None
    shape = (channels * 4, height // 2, width // 2)
    return net.node("SpaceToDepth", [x], shape, blocksize=2) if net.fits(shape) else None


def on_cpu(net: Net, x: str) -> str | None:
    """Something that leaves the BPU and comes back in the same shape."""
    channels, height, width = shape = net.shapes[x]
    kind = net.choose.choice(["softmax", "transpose", "reshape", "matmul", "norm"])
    if kind == "softmax":
        return net.node("Softmax", [x], shape, axis=net.choose.choice([1, 2, 3]))
    if kind == "transpose":
        turned = net.node("Transpose", [x], (channels, width, height), perm=[0, 1, 3, 2])
        inner = net.node("Abs", [turned], net.shapes[turned]) if net.chance(0.5) else turned
        return net.node("Transpose", [inner], shape, perm=[0, 1, 3, 2])
    if kind == "reshape":
        return net.node(
            "Reshape",
            [x, net.constant(_int64(1, channels, width, height))],
            (channels, width, height),
        )
    if kind == "norm":
        scale, shift = (net.constant(net.values.uniform(0.5, 1, channels)) for _ in range(2))
        return net.node("InstanceNormalization", [x, scale, shift], shape)
    columns = net.small(1, 32)
    if width > 256 or not net.fits(
        (channels, height, columns), channels * height * width * columns
    ):
        return None
    matrix = net.constant(net.values.normal(0, width**-0.5, (width, columns)))
    return net.node("MatMul", [x, matrix], (channels, height, columns))
