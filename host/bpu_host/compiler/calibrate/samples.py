"""Calibration samples: files of `cal_data_dir` as the optimized graph's inputs, one at a time.

A sample file holds what the float model was trained on, before mean and scale: raw pixels or
values (`numpy.fromfile`), or with `preprocess_on` a picture that is read as every
picture is and resized as skimage does.
It takes the way the board's data will take: training pixels -> runtime type (nv12 loses chroma) ->
value - 128, so that calibration sees what the network will see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bpu_common.caller import random_values
from bpu_common.errors import CalibrationError
from bpu_common.image import encode_rgb, network_input
from bpu_common.input_files import NUMPY_SUFFIX, read_input
from bpu_common.tensor import F32, I8, U8, AnyArray, DType, InputType, Layout, ModelInput
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.events import Note, OnEvent, ignore

FLOAT_FOLDER_SUFFIX = "_f32"
RANDOM_SEED = 20210421

Sample = dict[str, AnyArray]
"""Input name -> array as the optimized graph takes it: pictures float32, others of their type."""


class SampleSet(Protocol):
    """Samples that can be gone through more than once, one in memory at a time."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


@dataclass(frozen=True, slots=True)
class _Folder:
    """The sample files of one input, in sorted order."""

    config: InputConfig
    target: ModelInput
    files: tuple[Path, ...]
    dtype: DType
    pictures: bool
    on_event: OnEvent

    def read(self, index: int) -> AnyArray:
        path = self.files[index]
        if path.suffix.lower() == NUMPY_SUFFIX and not self.config.rt_type.is_image:
            return _finite(read_input(path, self.target), path)
        pixels = self._read_picture(path) if self.pictures else self._read_raw(path)
        if not self.config.rt_type.is_image:
            return _finite(pixels, path)
        return to_network(_to_bytes(pixels, path, self.on_event), self.config, self.target)

    def _read_picture(self, path: Path) -> U8:
        # Here, because skimage costs half a second to import and raw samples do not need it.
        from bpu_host.compiler.calibrate.pictures import training_pixels

        return training_pixels(path, self.config)

    def _read_raw(self, path: Path) -> AnyArray:
        """The file as an array of the float model's input shape."""
        shape = self.config.shape
        expected = math.prod(shape) * self.dtype.size_bytes
        found = path.stat().st_size
        if found != expected:
            raise CalibrationError(
                f"holds {found} bytes; input '{self.config.name}' of shape "
                f"{'x'.join(map(str, shape))} in {self.dtype.value} needs {expected}",
                where=str(path),
                hint=_size_hint(found, math.prod(shape), self.dtype),
            )
        return np.fromfile(path, self.dtype.numpy).reshape(shape)


@dataclass(frozen=True, slots=True)
class FolderSamples:
    """One folder per input; sample i takes the i-th file of each."""

    folders: tuple[_Folder, ...]

    def __len__(self) -> int:
        return len(self.folders[0].files)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield {folder.config.name: folder.read(index) for folder in self.folders}


@dataclass(frozen=True, slots=True)
class RandomSample:
    """One sample of noise, always the same: what the checker uses when there is no data."""

    inputs: tuple[tuple[InputConfig, ModelInput], ...]

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sample]:
        random = np.random.default_rng(RANDOM_SEED)
        sample: Sample = {}
        for config, target in self.inputs:
            if config.rt_type.is_image:
                pixels = random.integers(0, 256, config.shape, dtype=np.uint8)
                sample[config.name] = to_network(pixels, config, target)
            else:
                sample[config.name] = random_values(random, config.shape, config.dtype)
        yield sample


def open_samples(
    config: CompileConfig, inputs: tuple[ModelInput, ...], on_event: OnEvent = ignore
) -> SampleSet:
    """The calibration samples of a configuration whose inputs are resolved.

    Without any `cal_data_dir` the result is one sample of noise. `on_event` hears of samples that
    look wrong, each time they are read.

    Raises:
        CalibrationError: a folder that is missing or empty, folders with different numbers of
            files, `preprocess_on` for a featuremap. Files are checked when they are read.
    """
    targets = {target.tensor.name: target for target in inputs}
    pairs = tuple((item, targets[item.name]) for item in config.inputs)
    if all(item.cal_data_dir is None for item in config.inputs):
        return RandomSample(pairs)
    folders = tuple(_open_folder(*pair, config.preprocess_on, on_event) for pair in pairs)
    first = folders[0]
    for other in folders[1:]:
        if len(other.files) != len(first.files):
            raise CalibrationError(
                f"input '{first.config.name}' has {len(first.files)} calibration samples, "
                f"input '{other.config.name}' has {len(other.files)}",
                where=str(other.config.cal_data_dir),
                hint="put the same number of files into each cal_data_dir, in the same order",
            )
    return FolderSamples(folders)


def _open_folder(
    config: InputConfig, target: ModelInput, pictures: bool, on_event: OnEvent
) -> _Folder:
    folder = config.cal_data_dir
    if folder is None:
        raise CalibrationError(
            f"input '{config.name}' has no cal_data_dir",
            hint="give one folder per input, separated by ';'",
        )
    if not folder.is_dir():
        raise CalibrationError(
            "is not a folder",
            where=str(folder),
            hint="set calibration_parameters.cal_data_dir to a folder of sample files",
        )
    files = tuple(sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")))
    if not files:
        raise CalibrationError(
            "holds no calibration samples",
            where=str(folder),
            hint="about 100 files are advised, one sample each",
        )
    if pictures and not config.rt_type.is_image:
        raise CalibrationError(
            f"preprocess_on reads pictures, input '{config.name}' is a featuremap",
            where=str(folder),
            hint="set preprocess_on: False and give float32 files",
        )
    dtype = config.cal_data_type if config.rt_type.is_image else config.dtype
    return _Folder(config, target, files, dtype, pictures, on_event)


def _size_hint(found: int, elements: int, dtype: DType) -> str:
    other = DType.UINT8 if dtype is DType.FLOAT32 else DType.FLOAT32
    if found == elements * other.size_bytes:
        return (
            f"the size fits {other.value}: set cal_data_type: '{other.value}' "
            f"(or name the folder {'with' if other is DType.FLOAT32 else 'without'} "
            f"the ending {FLOAT_FOLDER_SUFFIX})"
        )
    return "raw files hold one sample each without header, in the shape of the float model's input"


def _to_bytes(pixels: AnyArray, path: Path, on_event: OnEvent) -> U8:
    """Training pixels as bytes; float files hold 0..255 too."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    values = _finite(pixels.astype(np.float32), path)
    if values.min() < -0.5 or values.max() > 255.5:
        raise CalibrationError(
            f"holds pixels from {values.min():.4g} to {values.max():.4g}, not 0 to 255",
            where=str(path),
            hint="samples are pixels before mean and scale; those are part of the model",
        )
    if values.max() <= 1.0 and values.any():
        sentence = f"{path}: all pixels are within 0..1; samples should be 0..255"
        on_event(Note(sentence, warning=True))
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _finite(values: AnyArray, path: Path) -> AnyArray:
    if not np.isfinite(values).all():
        raise CalibrationError("holds values that are not finite", where=str(path))
    return values


def to_network(pixels: U8, config: InputConfig, target: ModelInput) -> F32:
    """Training pixels (uint8, `config.shape`) as the float graph's input: runtime value - 128."""
    nhwc = config.train_layout is Layout.NHWC
    picture = pixels[0] if nhwc else pixels[0].transpose(1, 2, 0)
    match config.train_type:
        case InputType.RGB:
            codes = _through_board(picture, target)
        case InputType.BGR:
            codes = _through_board(picture[..., ::-1], target)
        case InputType.YUV444 if config.rt_type is InputType.NV12:
            codes = _centred(_subsampled(picture))
        case _:
            codes = _centred(picture)
    if not nhwc:
        codes = codes.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(codes, np.float32)


def _through_board(rgb: U8, target: ModelInput) -> I8:
    return network_input(encode_rgb(np.ascontiguousarray(rgb), target), target)


def _centred(picture: U8) -> I8:
    return (picture[None].astype(np.int16) - 128).astype(np.int8)


def _subsampled(yuv: U8) -> U8:
    """YUV444 after nv12: the mean of each 2x2 block of chroma, half up, replicated."""
    blocks = yuv[..., 1:].astype(np.uint16)
    sums = blocks[0::2, 0::2] + blocks[0::2, 1::2] + blocks[1::2, 0::2] + blocks[1::2, 1::2]
    result = yuv.copy()
    result[..., 1:] = ((sums + 2) >> 2).repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
    return result
