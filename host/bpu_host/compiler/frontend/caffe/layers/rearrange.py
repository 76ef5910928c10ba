"""Layers that move values and compute nothing."""

from __future__ import annotations

import math
from itertools import pairwise

from bpu_host.compiler.frontend.caffe.site import Site


def concat(site: Site) -> None:
    """Concat along `axis`, or by its old name concat_dim."""
    param = site.spec.concat_param
    if not site.bottoms:
        raise site.unsupported("reads no blobs")
    first = site.bottoms[0]
    wanted = param.concat_dim if param.HasField("concat_dim") else param.axis
    axis = site.axis(wanted, len(first.shape))
    for other in site.bottoms[1:]:
        if _without(other.shape, axis) != _without(first.shape, axis):
            raise site.unsupported(
                f"'{other.name}' of shape {list(other.shape)} does not fit {list(first.shape)} "
                f"beside axis {axis}"
            )
    total = sum(blob.shape[axis] for blob in site.bottoms)
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    site.end("Concat", *(blob.name for blob in site.bottoms), shapes=[shape], axis=axis)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def slices(site: Site) -> None:
    """Slice along `axis`, or by its old name slice_dim: at the points, or into equal pieces."""
    x, param = site.bottom(), site.spec.slice_param
    wanted = param.slice_dim if param.HasField("slice_dim") else param.axis
    axis, pieces = site.axis(wanted, len(x.shape)), site.top_count
    size, points = x.shape[axis], list(param.slice_point)
    if not points and size % pieces:
        raise site.unsupported(f"{size} cannot be divided into {pieces} equal pieces")
    points = points or [size // pieces * index for index in range(1, pieces)]
    bounds = [0, *points, size]
    lengths = [end - start for start, end in pairwise(bounds)]
    if len(lengths) != pieces or min(lengths) < 1:
        raise site.unsupported(
            f"slice_point {points[:8]} does not make {pieces} pieces of {size} values"
        )
    shapes = [(*x.shape[:axis], length, *x.shape[axis + 1 :]) for length in lengths]
    if pieces == 1:
        site.end("Identity", x.name, shapes=shapes)
        return
    site.end("Split", x.name, site.ints("pieces", lengths), shapes=shapes, axis=axis)


def split(site: Site) -> None:
    """Split: the same blob under several names."""
    x = site.bottom()
    pieces = site.top_count
    if pieces == 1:
        site.end("Identity", x.name, shapes=[x.shape])
        return
    site.end_each("Identity", x.name, shape=x.shape)


def reshape(site: Site) -> None:
    """Reshape of the axes from `axis` on, `num_axes` of them: 0 copies a size, -1 is the rest."""
    x, param = site.bottom(), site.spec.reshape_param
    rank = len(x.shape)
    first = param.axis if param.axis >= 0 else rank + param.axis + 1
    end = rank if param.num_axes == -1 else first + param.num_axes
    if not 0 <= first <= end <= rank:
        raise site.unsupported(f"axis {param.axis} and num_axes {param.num_axes} do not exist")
    sizes = []
    for index, size in enumerate(param.shape.dim):
        if size == 0 and first + index >= rank:
            raise site.unsupported(f"copies a size from axis {first + index}, which is none")
        sizes.append(x.shape[first + index] if size == 0 else int(size))
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise site.unsupported(f"shape {sizes[:8]} is not possible")
    around = (*x.shape[:first], *x.shape[end:])
    known = math.prod(size for size in sizes if size != -1) * math.prod(around)
    if -1 in sizes and known and math.prod(x.shape) % known == 0:
        sizes[sizes.index(-1)] = math.prod(x.shape) // known
    shape = (*x.shape[:first], *sizes, *x.shape[end:])
    if math.prod(shape) != math.prod(x.shape):
        raise site.unsupported(f"{list(x.shape)} cannot be reshaped to {list(shape)}")
    site.end("Reshape", x.name, site.ints("shape", shape), shapes=[shape])


def flatten(site: Site) -> None:
    """Flatten of the axes from `axis` to `end_axis`."""
    x, param = site.bottom(), site.spec.flatten_param
    rank = len(x.shape)
    first, last = site.axis(param.axis, rank), site.axis(param.end_axis, rank)
    if last < first:
        raise site.unsupported(f"end_axis {param.end_axis} lies before axis {param.axis}")
    shape = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
    if first == 1 and len(shape) == 2:
        site.end("Flatten", x.name, shapes=[shape], axis=1)
    else:
        site.end("Reshape", x.name, site.ints("shape", shape), shapes=[shape])


def permute(site: Site) -> None:
    """Permute (SSD): axes that `order` leaves out come last, in their order."""
    x, order = site.bottom(), list(site.spec.permute_param.order)
    rank = len(x.shape)
    order += [axis for axis in range(rank) if axis not in order]
    if sorted(order) != list(range(rank)):
        raise site.unsupported(f"order {order[:8]} is no order of {rank} axes")
    site.end("Transpose", x.name, shapes=[tuple(x.shape[axis] for axis in order)], perm=order)


def crop(site: Site) -> None:
    """Crop to the size of a second blob from `axis` on, at one offset for all axes or for each."""
    if len(site.bottoms) != 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not two")
    x, like = site.bottoms
    param, rank = site.spec.crop_param, len(x.shape)
    first = site.axis(param.axis, rank)
    axes = list(range(first, rank))
    offsets = list(param.offset) or [0]
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    if len(offsets) != len(axes) or len(like.shape) != rank:
        raise site.unsupported(f"has {len(offsets)} offsets for {len(axes)} axes of {rank}")
    shape = (*x.shape[:first], *like.shape[first:])
    ends = [offset + shape[axis] for axis, offset in zip(axes, offsets, strict=True)]
    if any(end > x.shape[axis] for axis, end in zip(axes, ends, strict=True)):
        raise site.unsupported(f"{list(shape)} at {offsets} lies outside of {list(x.shape)}")
    bounds = (site.ints("starts", offsets), site.ints("ends", ends), site.ints("axes", axes))
    site.end("Slice", x.name, *bounds, shapes=[shape])


def tile(site: Site) -> None:
    """Tile: the blob several times along one axis."""
    x, param = site.bottom(), site.spec.tile_param
    axis = site.axis(param.axis, len(x.shape))
    if param.tiles < 1:
        raise site.unsupported("tiles is missing")
    repeats = [param.tiles if index == axis else 1 for index in range(len(x.shape))]
    shape = tuple(size * count for size, count in zip(x.shape, repeats, strict=True))
    site.end("Tile", x.name, site.ints("repeats", repeats), shapes=[shape])


def pass_through(site: Site) -> None:
    """PassThrough (YOLO): blocks of height and width go into the channels, position by position."""
    x, param = site.bottom(ranks=range(4, 5)), site.spec.pass_through_param
    block = param.block_height or 2
    if (param.block_width or 2) != block:
        raise site.unsupported("block_height and block_width must be equal")
    n, c, h, w = x.shape
    if h % block or w % block:
        raise site.unsupported(f"{h} x {w} cannot be divided into blocks of {block}")
    shape = (n, c * block * block, h // block, w // block)
    if param.num_output not in (0, shape[1]):
        raise site.unsupported(f"num_output is {param.num_output}, its output has {shape[1]}")
    site.end("SpaceToDepth", x.name, shapes=[shape], blocksize=block)


def reorg(site: Site) -> None:
    """Reorg (YOLOv2): Darknet's order, in which the blob is read as C/s^2 x H*s x W*s first."""
    x, param = site.bottom(ranks=range(4, 5)), site.spec.reorg_param
    n, c, h, w = x.shape
    step = param.stride
    if param.reverse or step < 1 or h % step or w % step or c % (step * step):
        raise site.unsupported(
            f"{c} x {h} x {w} cannot be reorganized by {step}"
            + (" backwards (reverse)" if param.reverse else "")
        )
    wide = (n, c // (step * step), h * step, w * step)
    read = site.node("Reshape", x.name, site.ints("read", wide))
    deep = site.node("SpaceToDepth", read, blocksize=step)
    shape = (n, c * step * step, h // step, w // step)
    site.end("Reshape", deep, site.ints("shape", shape), shapes=[shape])
