"""Regions of interest of `hrt_model_exec`: `--roi` and `--roi_infer` (docs/board.md "Ours")."""

from __future__ import annotations

from collections.abc import Mapping

from bpu_board.cli.hrt_model_exec.options import Options
from bpu_common.board import ModelInfo
from bpu_common.errors import UsageError
from bpu_common.frame import FrameInput, as_frame_inputs, parse_roi
from bpu_common.tensor import AnyArray, InputSource


def with_regions(
    model: ModelInfo, arrays: Mapping[str, AnyArray], options: Options
) -> dict[str, FrameInput]:
    """The inputs of a frame: the regions of `--roi` go to the resizer inputs, in their order.

    Raises:
        UsageError: the model has no resizer inputs, or another number of them.
        InputError: a region cannot be read.
    """
    inputs = as_frame_inputs(arrays)
    names = [each.tensor.name for each in model.inputs if each.source is InputSource.RESIZER]
    if not names and (options.roi_infer or options.roi):
        raise UsageError(
            "regions of interest need a model with resizer inputs, which this one does not have",
            hint="leave out --roi_infer and --roi",
        )
    regions = [parse_roi(text, "--roi") for text in options.roi.split(";") if text.strip()]
    if len(regions) != len(names):
        raise UsageError(
            f"model {model.name} has {len(names)} resizer input(s), --roi gives {len(regions)} "
            "region(s)",
            hint="give one for each: --roi_infer=true --roi='l,t,r,b;l,t,r,b'",
        )
    for name, region in zip(names, regions, strict=True):
        inputs[name] = FrameInput(inputs[name].array, region)
    return inputs
