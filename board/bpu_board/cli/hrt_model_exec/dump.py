"""Tensor dumps of `hrt_model_exec infer` as raw bytes or as text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bpu_board.cli.hrt_model_exec.options import Options
from bpu_board.device import PartValues
from bpu_common.board import ModelInfo
from bpu_common.errors import UsageError
from bpu_common.files import write_atomic
from bpu_common.perf import InferResult
from bpu_common.tensor import F32, AnyArray, TensorSpec

_BIN, _TXT = "bin", "txt"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def aligned(array: AnyArray, spec: TensorSpec) -> AnyArray:
    """The valid data in its padded buffer, padding 0."""
    if spec.aligned_shape == spec.shape or len(spec.aligned_shape) != array.ndim:
        return array
    buffer = np.zeros(spec.aligned_shape, array.dtype)
    buffer[tuple(slice(size) for size in array.shape)] = array
    return buffer


def dequantize(array: AnyArray, spec: TensorSpec) -> F32:
    """Real values of an output, float32; floats stay as they are."""
    if not spec.scale:
        return array.astype(np.float32)
    values, zero_points = spec.scale.shaped(array.ndim)
    codes = (array.astype(np.int64) - zero_points).astype(np.float32)
    return np.asarray(codes * values.astype(np.float32), np.float32)


def as_text(array: AnyArray, axis: int, precision: int) -> str:
    """The values in order, bools as 0 and 1; the axes from `axis` on share a line.

    Args:
        axis: number of axes or more: one value per line; 0: all values on one line.
        precision: decimals of floating point values.
    """
    floating = np.issubdtype(array.dtype, np.floating)
    pattern = f"{{:.{precision}f}}" if floating else "{}"
    numbers = array.view(np.uint8) if array.dtype == np.bool_ else array
    flat = [pattern.format(value) for value in numbers.reshape(-1).tolist()]
    per_line = max(1, math.prod(array.shape[axis:]))
    lines = (" ".join(flat[at : at + per_line]) for at in range(0, len(flat), per_line))
    return "\n".join(lines) + "\n"


def check_dump(model: ModelInfo, options: Options) -> None:
    """Whether `dump_frame` can write what is asked for; a run should not end with half of it.

    Raises:
        UsageError: an output is not 4-D although hybrid_dequantize_process is asked for.
    """
    for spec in model.outputs:
        if options.hybrid_dequantize_process and len(spec.shape) != 4:
            raise UsageError(
                f"output {spec.name!r} has {len(spec.shape)} dimensions, "
                "hybrid_dequantize_process handles models with 4 only",
                hint="leave out --hybrid_dequantize_process",
            )


def dump_frame(
    model: ModelInfo, inputs: dict[str, AnyArray], result: InferResult, options: Options
) -> list[Path]:
    """Write `model_infer_input_<i>` and `model_infer_output_<i>` to the current folder.

    Raises:
        UsageError: as `check_dump`, or a file cannot be written.
    """
    check_dump(model, options)
    written = []
    for index, each in enumerate(model.inputs):
        array = inputs[each.tensor.name]
        written.append(_write(f"model_infer_input_{index}", array, options.dump_format, options))
    for index, spec in enumerate(model.outputs):
        name, array = f"model_infer_output_{index}", result.outputs[spec.name]
        if options.hybrid_dequantize_process:
            written.append(_write(name, dequantize(array, spec), _TXT, options))
        else:
            written.append(_write(name, aligned(array, spec), options.dump_format, options))
    return written


def dump_segments(segments: Sequence[PartValues], options: Options) -> list[Path]:
    """Write what goes in and out of every segment to the current folder (`dump_intermediate`)."""
    kinds = (_BIN,) if options.dump_intermediate == 1 else (_BIN, _TXT)
    padded = options.dump_intermediate != 3
    written = []
    for segment in segments:
        for side, arrays in (("input", segment.inputs), ("output", segment.outputs)):
            for index, (tensor, array) in enumerate(arrays.items()):
                spec = segment.specs.get(tensor)
                if side == "output" and padded and spec is not None:
                    array = aligned(array, spec)
                name = _NOT_IN_NAMES.sub("_", f"{segment.name}_{side}_{index}_{tensor}")
                written += [_write(name[:200], array, kind, options) for kind in kinds]
    return written


def _write(stem: str, array: AnyArray, kind: str, options: Options) -> Path:
    path = Path(f"{stem}.{kind}")
    if kind == _BIN:
        write_atomic(path, np.ascontiguousarray(array).tobytes())
    else:
        write_atomic(path, as_text(array, options.dump_txt_axis, options.dump_precision))
    return path
