"""What can be chosen for a conversion."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bpu_common.pictures import Fit
from openbpu.inputs import Frame

Samples: TypeAlias = str | os.PathLike[str] | Iterable[Frame]
"""A folder of pictures or of raw sample files, or frames as one would infer them."""


@dataclass(frozen=True, slots=True)
class Input:
    """How one input was trained, and how the board is to be fed. What is empty is guessed.

    Attributes:
        name: of the model's input; the only one by default.
        type: what the board takes (`input_type_rt`): nv12, yuv444, rgb, bgr, gray or featuremap.
        train_type: pixels the model was trained on: rgb, bgr, yuv444, gray or featuremap.
        layout: NCHW or NHWC.
        shape: all sizes, where the model leaves some open.
        mean: subtracted from the pixels; one value, or one a channel.
        scale: multiplied then (not a standard deviation: 1 / 58.4 = 0.0171).
    """

    name: str = ""
    type: str = ""
    train_type: str = ""
    layout: str = ""
    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What concerns the whole conversion; see `openbpu.convert`."""

    output: Path
    name: str
    method: str
    machine: str
    optimize_level: str
    fit: Fit
