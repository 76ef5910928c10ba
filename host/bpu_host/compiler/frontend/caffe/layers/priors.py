"""The boxes that SSD starts from."""

from __future__ import annotations

import numpy as np

from bpu_common.tensor import F32
from bpu_host.compiler.frontend.caffe.gen.caffe import forks_pb2 as pb
from bpu_host.compiler.frontend.caffe.site import Site

_SAME_RATIO = 1e-6
_VARIANCE = 0.1
_CORNERS = 4
_MAX_BOXES = 256


def prior_box(site: Site) -> None:
    """PriorBox (SSD): boxes around the cells of a map, which depend on shapes alone: a constant."""
    if len(site.bottoms) != 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not map and picture")
    features, picture = (site.ranked(blob, range(4, 5)) for blob in site.bottoms)
    param = site.spec.prior_box_param
    sizes = _box_sizes(site, param)
    rows, columns = features.shape[2:]
    length = rows * columns * len(sizes) * _CORNERS
    site.check_shape("its output", (1, 2, length))
    height = param.img_h or param.img_size or picture.shape[2]
    width = param.img_w or param.img_size or picture.shape[3]
    step_h = param.step_h or param.step or height / rows
    step_w = param.step_w or param.step or width / columns
    y = (np.arange(rows) + param.offset) * step_h
    x = (np.arange(columns) + param.offset) * step_w
    centres = np.stack(np.broadcast_arrays(x[None, :, None], y[:, None, None]), axis=-1)
    half = np.array(sizes) / 2  # boxes x (width, height)
    boxes = np.concatenate([centres - half, centres + half], axis=-1)
    boxes /= np.array([width, height, width, height])
    if param.clip:
        boxes = boxes.clip(0, 1)
    values = np.stack([boxes.reshape(-1), _variances(site, param, length)])
    constant = site.constant("boxes", values.astype(np.float32)[None])
    site.end("Identity", constant, shapes=[(1, 2, length)])


def _box_sizes(site: Site, param: pb.PriorBoxParameter) -> list[tuple[float, float]]:
    """Width and height of the boxes of a cell, in SSD's order."""
    if len(param.aspect_ratio) > _MAX_BOXES or len(param.min_size) > _MAX_BOXES:
        raise site.unsupported(f"has more than {_MAX_BOXES} values of aspect_ratio or min_size")
    if not param.min_size or min(param.min_size) <= 0:
        raise site.unsupported("min_size is missing, or not above 0")
    if param.max_size and len(param.max_size) != len(param.min_size):
        raise site.unsupported("has not as many max_size as min_size")
    ratios = [1.0]
    for ratio in param.aspect_ratio:
        if ratio <= 0:
            raise site.unsupported("has an aspect_ratio that is not above 0")
        if any(abs(ratio - each) < _SAME_RATIO for each in ratios):
            continue
        ratios += [ratio, 1 / ratio] if param.flip else [ratio]
    sizes = []
    for index, least in enumerate(param.min_size):
        sizes.append((least, least))
        if param.max_size:
            between = (least * param.max_size[index]) ** 0.5
            sizes.append((between, between))
        sizes += [(least * ratio**0.5, least / ratio**0.5) for ratio in ratios[1:]]
    return sizes


def _variances(site: Site, param: pb.PriorBoxParameter, length: int) -> F32:
    given = list(param.variance) or [_VARIANCE]
    if len(given) not in (1, _CORNERS):
        raise site.unsupported(f"has {len(given)} values of variance, not 1 or {_CORNERS}")
    return np.resize(np.array(given, np.float32), length)
