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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from bpu_common.caller import random_values
from bpu_common.errors import CalibrationError
from bpu_common.image import encode_rgb, network_input
from bpu_common.input_files import NUMPY_SUFFIX, read_input
from bpu_common.tensor import F32, I8, U8, AnyArray, DType, InputType, Layout, ModelInput
from bpu_host.compiler.calibrate.watch import Watch, sample_findings
from bpu_host.compiler.config.conditions import FLOAT_FOLDER_SUFFIX
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.events import Note, OnEvent, ignore
from bpu_host.compiler.findings import Finding

RANDOM_SEED = 20210421
_HALF = 0.5
"""Float pixels may be off by what rounding forgives."""

Sample = dict[str, AnyArray]
"""Input name -> array as the optimized graph takes it: pictures float32, others of their type."""


class SampleSet(Protocol):
    """Samples that can be gone through more than once, one in memory at a time."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def __getitem__(self, position: int, /) -> Sample: ...


@dataclass(frozen=True, slots=True)
class _Folder:
    """The sample files of one input, in sorted order."""

    config: InputConfig
    target: ModelInput
    files: tuple[Path, ...]
    dtype: DType
    pictures: bool
    watch: Watch

    def read(self, index: int) -> AnyArray:
        path = self.files[index]
        if path.suffix.lower() == NUMPY_SUFFIX and not self.config.rt_type.is_image:
            return _finite(read_input(path, self.target), path)
        pixels = self._read_picture(path) if self.pictures else self._read_raw(path)
        if not np.isfinite(pixels).all():
            raise CalibrationError("holds values that are not finite", where=str(path))
        if not self.config.rt_type.is_image:
            pixels = _finite(pixels, path)
            self.watch.look(index, pixels, None)
            return pixels
        codes = _to_bytes(pixels, path)
        self.watch.look(index, pixels, 3 if self.config.train_layout is Layout.NHWC else 1)
        return to_network(codes, self.config, self.target)

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
                hint=_kind_hint(path) or _size_hint(found, self.config, self.dtype),
            )
        return np.fromfile(path, self.dtype.numpy).reshape(shape)


@dataclass(frozen=True, slots=True)
class FolderSamples:
    """One folder per input; sample i takes the i-th file of each."""

    folders: tuple[_Folder, ...]

    def __len__(self) -> int:
        return len(self.folders[0].files)

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int, /) -> Sample:
        return {folder.config.name: folder.read(position) for folder in self.folders}

    def findings(self) -> tuple[Finding, ...]:
        """What is odd about the samples that were read."""
        return sample_findings([folder.watch for folder in self.folders])


@dataclass(frozen=True, slots=True)
class RandomSample:
    """One sample of noise, always the same: what the checker uses when there is no data."""

    inputs: tuple[tuple[InputConfig, ModelInput], ...]

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sample]:
        yield self[0]

    def __getitem__(self, position: int, /) -> Sample:
        del position  # there is one
        random = np.random.default_rng(RANDOM_SEED)
        sample: Sample = {}
        for config, target in self.inputs:
            if config.rt_type.is_image:
                pixels = random.integers(0, 256, config.shape, dtype=np.uint8)
                sample[config.name] = to_network(pixels, config, target)
            else:
                sample[config.name] = random_values(random, config.shape, config.dtype)
        return sample

    def findings(self) -> tuple[Finding, ...]:
        """None: nobody takes its thresholds for more than they are."""
        return ()


def settle_sample_types(
    config: CompileConfig, on_event: OnEvent = ignore
) -> tuple[CompileConfig, tuple[Finding, ...]]:
    """A resolved configuration whose `cal_data_type` fits the files, where nobody chose it.

    The folder's name says which type its samples have; files whose size and content fit only the
    other type leave no doubt, and are a finding. Where the name is right `on_event` hears of it.
    Folders that cannot be read stay for `open_samples`.
    """
    findings: list[Finding] = []
    inputs = tuple(_settle(each, config, on_event, findings) for each in config.inputs)
    return replace(config, inputs=inputs), tuple(findings)


def _settle(
    item: InputConfig, config: CompileConfig, on_event: OnEvent, findings: list[Finding]
) -> InputConfig:
    folder = item.cal_data_dir
    if folder is None or not item.dtype_by_suffix or config.preprocess_on or not folder.is_dir():
        return item
    other = _other(item.cal_data_type)
    settled = replace(item, dtype_by_suffix=False)
    if _hold(other, _files(folder), math.prod(item.shape)):
        findings.append(
            Finding(
                str(folder),
                f"holds {other.value} samples, as size and content say, though its name "
                f"{_suffix_words(item.cal_data_type)}: {other.value} is taken",
                f"write cal_data_type: '{other.value}'",
            )
        )
        return replace(settled, cal_data_type=other)
    on_event(
        Note(
            f"cal_data_type of input '{item.name}' is not set: {item.cal_data_type.value} is "
            f"taken, because the folder's name {_suffix_words(item.cal_data_type)}"
        )
    )
    return settled


def _hold(dtype: DType, files: tuple[Path, ...], elements: int) -> bool:
    """Whether size and content say that the files hold pixels of this type.

    The content matters because a wrong `input_shape` may make the size fit as well.
    """
    if {path.stat().st_size for path in files} != {elements * dtype.size_bytes}:
        return False
    values = np.frombuffer(files[0].read_bytes()[: elements // 4 * 4], np.float32)
    with np.errstate(invalid="ignore"):
        floats = bool(((values >= -_HALF) & (values <= 255 + _HALF)).all())
    return floats == (dtype is DType.FLOAT32)


def _other(dtype: DType) -> DType:
    return DType.UINT8 if dtype is DType.FLOAT32 else DType.FLOAT32


def _suffix_words(dtype: DType) -> str:
    """What the name of a folder with samples of this type does."""
    return f"{'ends' if dtype is DType.FLOAT32 else 'does not end'} in {FLOAT_FOLDER_SUFFIX}"


def open_samples(
    config: CompileConfig, inputs: tuple[ModelInput, ...]
) -> FolderSamples | RandomSample:
    """The calibration samples of a configuration whose inputs are resolved.

    Without any `cal_data_dir` the result is one sample of noise.

    Raises:
        CalibrationError: a folder that is missing or empty, folders with different numbers of
            files, `preprocess_on` for a featuremap. Files are checked when they are read.
    """
    targets = {target.tensor.name: target for target in inputs}
    pairs = tuple((item, targets[item.name]) for item in config.inputs)
    if all(item.cal_data_dir is None for item in config.inputs):
        return RandomSample(pairs)
    folders = tuple(_open_folder(*pair, config.preprocess_on) for pair in pairs)
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


def _open_folder(config: InputConfig, target: ModelInput, pictures: bool) -> _Folder:
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
    files = _files(folder)
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
            hint=f"set preprocess_on: False and give {config.dtype.value} files",
        )
    dtype = config.cal_data_type if config.rt_type.is_image else config.dtype
    return _Folder(config, target, files, dtype, pictures, Watch(files))


def _files(folder: Path) -> tuple[Path, ...]:
    """The sample files of a folder, in the order they are taken."""
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return tuple(sorted(path for path in found if path.is_file()))


def _kind_hint(path: Path) -> str:
    """What to do with files that are no raw samples, as their first bytes say; else empty."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(b"\x93NUMPY"):
        return (
            "this is a NumPy file (.npy) with a header; write raw samples: "
            "numpy.load(file).tofile(sample)"
        )
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"BM")) or head[8:12] == b"WEBP":
        return (
            "this is a picture, and preprocess_on is off: set preprocess_on: True, or make raw "
            "samples of it with `hb_mapper caldata`"
        )
    return ""


def _size_hint(found: int, config: InputConfig, dtype: DType) -> str:
    other = _other(dtype)
    if found == math.prod(config.shape) * other.size_bytes:
        if not config.rt_type.is_image:  # cal_data_type is for pixels
            return f"the size fits {other.value}: write the samples as {dtype.value}"
        return (
            f"the size fits {other.value}: set cal_data_type: '{other.value}' "
            f"(or name the folder {'with' if other is DType.FLOAT32 else 'without'} "
            f"the ending {FLOAT_FOLDER_SUFFIX})"
        )
    return "raw files hold one sample each without header, in the shape of the float model's input"


def _to_bytes(pixels: AnyArray, path: Path) -> U8:
    """Training pixels as bytes; float files hold 0..255 too."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    values = _finite(pixels.astype(np.float32), path)
    if values.min() < -_HALF or values.max() > 255 + _HALF:
        raise CalibrationError(
            f"holds pixels from {values.min():.4g} to {values.max():.4g}, not 0 to 255",
            where=str(path),
            hint="samples are pixels before mean and scale; those are part of the model",
        )
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
