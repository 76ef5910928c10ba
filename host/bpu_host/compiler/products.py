"""The files a conversion makes: written beside each other first, moved into place together."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bpu_common.errors import CapacityError, UsageError
from bpu_common.files import write_atomic

_STAGING_PREFIX = ".partial-"
_YOUNG_S = 60.0
"""A staging folder this young may not be locked yet."""


@dataclass(frozen=True, slots=True)
class ProductNames:
    """File names of the products."""

    original_float: str
    optimized_float: str
    calibrated: str
    quantized: str
    board: str

    @staticmethod
    def of_prefix(prefix: str) -> ProductNames:
        """The names `hb_mapper makertbin` gives."""
        return ProductNames(
            f"{prefix}_original_float_model.onnx",
            f"{prefix}_optimized_float_model.onnx",
            f"{prefix}_calibrated_model.onnx",
            f"{prefix}_quantized_model.onnx",
            f"{prefix}.bin",
        )

    @staticmethod
    def of_checker() -> ProductNames:
        """The names `hb_mapper checker` gives in `.hb_check/`."""
        return ProductNames(
            "original_float_model.onnx",
            "optimized_float_model.onnx",
            "calibrated_model.onnx",
            "quantized_model.onnx",
            "checker_hybrid_horizonrt.bin",
        )


class Products:
    """Collects files in a hidden folder of the target; `publish` makes all of them appear.

    Used as a context: what was not published is gone at its end. A process that is killed leaves
    its hidden folder; the next conversion into the same target sweeps it away.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staging: Path | None = None
        self._lock = -1
        self._names: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _sweep(self._folder)
            self._staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=self._folder))
            self._lock = os.open(self._staging, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"cannot write into the output folder: {error.strerror}",
                where=str(self._folder),
                hint="choose another working_dir",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            os.close(self._lock)

    def add(self, name: str, data: bytes) -> None:
        """Write one file, still hidden."""
        assert self._staging is not None
        write_atomic(self._staging / name, data)
        self._names.append(name)

    def publish(self) -> tuple[Path, ...]:
        """Move all files into place, replacing older ones."""
        assert self._staging is not None
        made = []
        for name in self._names:
            target = self._folder / name
            try:
                (self._staging / name).replace(target)
            except OSError as error:
                raise CapacityError(
                    f"cannot put the file into place: {error.strerror}", where=str(target)
                ) from error
            made.append(target)
        return tuple(made)


def _sweep(folder: Path) -> None:
    """Remove staging folders whose process is gone: its lock went with it."""
    for path in folder.glob(f"{_STAGING_PREFIX}*"):
        if not path.is_dir() or time.time() - path.stat().st_mtime < _YOUNG_S:
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # a conversion at work
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)
