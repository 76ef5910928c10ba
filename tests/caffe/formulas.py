"""What Caffe's documentation says of layers that OpenCV has not, or not in all forms; in numpy.

Each formula takes the blobs that the layer reads and its weights, and returns its tops.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from bpu_common.tensor import AnyArray


def sigmoid(x: AnyArray) -> AnyArray:
    return 1 / (1 + np.exp(-x))


def windows(
    x: AnyArray, kernel: int, stride: int, pad: int, *, most: bool, floor: bool
) -> AnyArray:
    """Caffe's pooling loop, as pooling_layer.cpp documents it: one window after the other."""
    height, width = x.shape[2:]
    sizes = []
    for size in (height, width):
        steps = (size + 2 * pad - kernel) / stride
        count = (math.floor(steps) if floor else math.ceil(steps)) + 1
        if pad and (count - 1) * stride >= size + pad:
            count -= 1
        sizes.append(count)
    y = np.zeros((*x.shape[:2], *sizes))
    for i, j in itertools.product(*map(range, sizes)):
        top, left = i * stride - pad, j * stride - pad
        bottom, right = min(top + kernel, height + pad), min(left + kernel, width + pad)
        area = (bottom - top) * (right - left)
        part = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        y[:, :, i, j] = part.max((2, 3)) if most else part.sum((2, 3)) / area
    return y


def spp(x: AnyArray, levels: int, *, most: bool) -> AnyArray:
    """Bins of a pyramid for square inputs."""
    parts = []
    for level in range(levels):
        bins = 2**level
        kernel = math.ceil(x.shape[2] / bins)
        pad = (kernel * bins - x.shape[2] + 1) // 2
        parts.append(windows(x, kernel, kernel, pad, most=most, floor=False).reshape(len(x), -1))
    return np.concatenate(parts, axis=1)


def argmax_all(x: AnyArray, count: int) -> tuple[AnyArray, AnyArray]:
    """Positions and maxima of each item, N x count."""
    flat = x.reshape(len(x), -1)
    order = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(flat, order, axis=1)


def batch_norm(x: AnyArray, mean: AnyArray, variance: AnyArray, count: AnyArray) -> AnyArray:
    factor = 0 if count[0] == 0 else 1 / count[0]
    centre, spread = (each[:, None, None] * factor for each in (mean, variance))
    return (x - centre) / np.sqrt(spread + 1e-5)


def lrn_across(x: AnyArray, size: int, alpha: float, beta: float, k: float) -> AnyArray:
    y = np.zeros_like(x)
    for channel in range(x.shape[1]):
        low, high = max(0, channel - size // 2), channel + size // 2 + 1
        total = (x[:, low:high] ** 2).sum(axis=1)
        y[:, channel] = x[:, channel] / (k + alpha / size * total) ** beta
    return y


def pass_through(x: AnyArray) -> AnyArray:
    """Channel c of the output: position c / C of each 2 x 2 block of channel c % C."""
    parts = [x[:, :, at // 2 :: 2, at % 2 :: 2] for at in range(4)]
    return np.concatenate(parts, axis=1)


def unpool(x: AnyArray) -> AnyArray:
    """2 x 2 maxima, each back in its place, all else 0."""
    y = np.zeros_like(x)
    n, c, h, w = x.shape
    for item, channel, i, j in itertools.product(range(n), range(c), range(h // 2), range(w // 2)):
        block = x[item, channel, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        row, column = np.unravel_index(block.argmax(), (2, 2))
        y[item, channel, 2 * i + row, 2 * j + column] = block.max()
    return y


def lstm(
    x: AnyArray, goes_on: AnyArray, weight: AnyArray, bias: AnyArray, recurrence: AnyArray
) -> AnyArray:
    size = recurrence.shape[1]
    state = cell = np.zeros((x.shape[1], size))
    made = []
    for step, mark in zip(x, goes_on, strict=True):
        kept = state * mark[:, None]
        gates = step.reshape(len(step), -1) @ weight.T + bias + kept @ recurrence.T
        i, f, o, g = np.split(gates, 4, axis=1)
        cell = mark[:, None] * sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        made.append(state)
    return np.stack(made)


def roi_pool(x: AnyArray, rois: AnyArray, scale: float, size: int) -> AnyArray:
    """Maxima of size x size cells of each region, as roi_pooling_layer.cpp documents it."""
    y = np.zeros((len(rois), x.shape[1], size, size))
    for index, roi in enumerate(rois):
        left, top, right, bottom = (math.floor(value * scale + 0.5) for value in roi[1:])
        high, wide = max(bottom - top + 1, 1) / size, max(right - left + 1, 1) / size
        for i, j in itertools.product(range(size), repeat=2):
            rows = [math.floor(i * high) + top, math.ceil((i + 1) * high) + top]
            columns = [math.floor(j * wide) + left, math.ceil((j + 1) * wide) + left]
            rows, columns = np.clip(rows, 0, x.shape[2]), np.clip(columns, 0, x.shape[3])
            part = x[int(roi[0]), :, rows[0] : rows[1], columns[0] : columns[1]]
            y[index, :, i, j] = part.max((1, 2)) if part.size else 0
    return y


def psroi_pool(x: AnyArray, rois: AnyArray, scale: float, outputs: int, cells: int) -> AnyArray:
    """Means of cells of their own channels, as psroi_pooling_layer.cpp documents it."""
    y = np.zeros((len(rois), outputs, cells, cells))
    for index, roi in enumerate(rois):
        left, top = (math.floor(value + 0.5) * scale for value in roi[1:3])
        right, bottom = ((math.floor(value + 0.5) + 1) * scale for value in roi[3:5])
        high, wide = max(bottom - top, 0.1) / cells, max(right - left, 0.1) / cells
        for channel, i, j in itertools.product(range(outputs), range(cells), range(cells)):
            rows = [math.floor(i * high + top), math.ceil((i + 1) * high + top)]
            columns = [math.floor(j * wide + left), math.ceil((j + 1) * wide + left)]
            rows, columns = np.clip(rows, 0, x.shape[2]), np.clip(columns, 0, x.shape[3])
            part = x[
                0, (channel * cells + i) * cells + j, rows[0] : rows[1], columns[0] : columns[1]
            ]
            y[index, channel, i, j] = part.mean() if part.size else 0
    return y
