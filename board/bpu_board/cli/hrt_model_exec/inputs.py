"""Input files of `hrt_model_exec`: one per input of the model."""

from __future__ import annotations

from pathlib import Path

from bpu_common.board import ModelInfo
from bpu_common.errors import InputError
from bpu_common.input_files import read_input
from bpu_common.tensor import AnyArray


def split_files(text: str) -> list[Path]:
    """Paths of a comma separated list; blanks around them do not count."""
    return [Path(part.strip()) for part in text.split(",") if part.strip()]


def read_inputs(model: ModelInfo, text: str) -> dict[str, AnyArray]:
    """One array per input of the model, in the caller's form, from a comma separated list.

    Raises:
        InputError: the number of files is wrong, or a file is missing or does not fit its input.
        UsageError: a picture is given and Pillow is not installed.
    """
    files = split_files(text)
    if len(files) != len(model.inputs):
        raise InputError(
            f"model {model.name} has {len(model.inputs)} input(s), {len(files)} file(s) are given",
            hint="give one file per input in --input_file, separated by commas",
        )
    return {
        target.tensor.name: read_input(path, target)
        for target, path in zip(model.inputs, files, strict=True)
    }
