"""Files and folders as the frames of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bpu_common.board import ModelInfo
from bpu_common.errors import InputError
from bpu_common.input_files import FOLDER_SUFFIXES, read_input
from bpu_common.pictures import Fit
from bpu_common.tensor import AnyArray, ModelInput


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """The files of one frame, one per input; they are read when `arrays` is called."""

    name: str
    inputs: tuple[ModelInput, ...]
    paths: tuple[Path, ...]
    fit: Fit

    def arrays(self) -> dict[str, AnyArray]:
        """The frame's arrays by input name, in the caller's form.

        Raises:
            InputError: a file cannot be read or does not fit; `where` is the file.
            UsageError: a picture is given and Pillow is not installed.
        """
        return {
            value.tensor.name: read_input(path, value, fit=self.fit)
            for value, path in zip(self.inputs, self.paths, strict=True)
        }


def frames_of(
    info: ModelInfo, given: Sequence[str], *, fit: Fit = "stretch"
) -> tuple[FrameFiles, ...]:
    """The frames that files and folders make for a model.

    A model with one input gets a frame per file; one with several gets its first input from the
    first of `given` and so on, file by file where these are folders.

    Raises:
        InputError: a missing file, an empty folder, or numbers that do not fit.
    """
    groups = [_expand(Path(text)) for text in given]
    inputs = info.inputs
    if len(inputs) == 1:
        paths = [(path,) for group in groups for path in group]
    else:
        if len(groups) != len(inputs):
            names = ", ".join(value.tensor.name for value in inputs)
            raise InputError(
                f"{len(groups)} inputs given, the model has {len(inputs)}: {names}",
                where=f"model {info.name}",
            )
        if len({len(group) for group in groups}) != 1:
            counts = ", ".join(str(len(group)) for group in groups)
            raise InputError(f"the folders hold different numbers of files: {counts}")
        paths = list(zip(*groups, strict=True))
    labels = _distinct([each[0] for each in paths])
    return tuple(
        FrameFiles(name, inputs, each, fit) for name, each in zip(labels, paths, strict=True)
    )


def _expand(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        if not path.exists():
            raise InputError("no such file or folder", where=str(path))
        return (path,)
    files = tuple(
        sorted(
            each
            for each in path.iterdir()
            if each.is_file() and each.suffix.lower() in FOLDER_SUFFIXES
        )
    )
    if not files:
        raise InputError(
            "no pictures or arrays in this folder",
            where=str(path),
            hint=f"files that end in {', '.join(sorted(FOLDER_SUFFIXES))} are taken",
        )
    return files


def _distinct(paths: Sequence[Path]) -> list[str]:
    """File names without suffix, with it where two would be the same, else numbered."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{index}_{path.stem}" for index, path in enumerate(paths)]
