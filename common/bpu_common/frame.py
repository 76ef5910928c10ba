"""One input of a frame, as it travels through every door: client, wire, agent, runtime, device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bpu_common.errors import InputError
from bpu_common.tensor import AnyArray, InputSource, ModelInput

ROI_LEAST, ROI_END = 16, 256
"""Width and height of a region of interest: from 16 to below 256 (docs/board.md)."""


class Roi(NamedTuple):
    """A region of interest in pixels of the picture; all four ends belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1


def parse_roi(text: str, where: str) -> Roi:
    """A region written as `left,top,right,bottom`.

    Raises:
        InputError: not four whole numbers that are not negative.
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) != 4 or not all(word.isascii() and word.isdigit() for word in words):
        raise InputError(
            f"region of interest {text!r} is not left,top,right,bottom",
            where=where,
            hint="four whole numbers in pixels, for example 0,0,127,127",
        )
    return Roi(*map(int, words))


@dataclass(frozen=True, slots=True, eq=False)
class FrameInput:
    """What a caller gives for one input of one frame.

    Attributes:
        array: in the caller's form (`ModelInput.caller_shape`).
        roi: the part of the picture that the resizer cuts out and scales to the input's size; only
            for inputs whose source is the resizer.
    """

    array: AnyArray
    roi: Roi | None = None


Given: TypeAlias = Mapping[str, AnyArray] | Mapping[str, FrameInput]
"""Arrays, or arrays with regions, by input name."""


def as_frame_inputs(given: Given) -> dict[str, FrameInput]:
    """The same with each array as a `FrameInput`."""
    return {
        name: each if isinstance(each, FrameInput) else FrameInput(each)
        for name, each in given.items()
    }


def check_roi(model: str, spec: ModelInput, roi: Roi | None) -> None:
    """Whether an input takes this region of interest (docs/board.md "Tensors and tasks").

    Raises:
        InputError: it takes none, or not this one; the message names input and rule.
    """
    where = f"input {spec.tensor.name!r} of model {model}"
    if spec.source is not InputSource.RESIZER:
        if roi is not None:
            raise InputError(
                f"{where} takes no region of interest: its source is {spec.source.value}",
                hint="only inputs with the source resizer are cut out of a picture; leave out the "
                "region",
            )
        return
    if roi is None:
        raise InputError(f"{where} needs a region of interest", hint="give one beside the array")
    if min(roi) < 0 or roi.left % 2 or roi.top % 2 or not roi.right % 2 or not roi.bottom % 2:
        raise InputError(
            f"{where}: region {tuple(roi)} has to begin at even and end at odd positions, which "
            "belong to it"
        )
    if not (ROI_LEAST <= roi.width < ROI_END and ROI_LEAST <= roi.height < ROI_END):
        raise InputError(
            f"{where}: region {tuple(roi)} is {roi.width} x {roi.height}, sides from {ROI_LEAST} "
            f"to {ROI_END - 1} are possible"
        )
