"""What stands in a `.bin`, for those above the device seam."""

from __future__ import annotations

from pathlib import Path

from bpu_common import container
from bpu_common.board import ModelInfo, describe_model


def read_models(path: Path) -> tuple[ModelInfo, ...]:
    """The models of a `.bin`, in order, completely checked.

    Raises:
        ModelFormatError: not a valid file.
        InputError: it cannot be read.
    """
    return tuple(describe_model(model) for model in container.load(path))
