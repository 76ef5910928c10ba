"""The files a conversion makes: all new ones stand in the end, or all old ones.

They are written into a hidden folder beside their places, so that a full disk shows before anything
is replaced; only renames are left then, and each can be undone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bpu_common.errors import CapacityError, UsageError
from bpu_common.files import file_error, sync_folder, write_atomic

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

    def all(self) -> tuple[str, ...]:
        """In the order in which they are made."""
        return astuple(self)

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

    Args:
        names: of the files to come; entering the context sees that nothing is in their way, so
            that no long conversion ends there.
    """

    def __init__(self, folder: Path, names: Iterable[str] = ()) -> None:
        self._folder = folder
        self._expected = tuple(names)
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
            for name in self._expected:
                _check_free(self._folder / name)
        except OSError as error:
            self._discard()
            raise UsageError(
                f"cannot write into the output folder: {error.strerror}",
                where=str(self._folder),
                hint="choose another working_dir",
            ) from error
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        self._discard()

    def _discard(self) -> None:
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
        self._staging, self._lock = None, -1

    def add(self, name: str, data: bytes) -> None:
        """Write one file, still hidden.

        Raises:
            CapacityError: the disk is full; `where` is the file's later place.
            UsageError: it cannot be written.
        """
        assert self._staging is not None
        try:
            write_atomic(self._staging / name, data)
        except (CapacityError, UsageError) as error:
            place = str(self._folder / name)
            raise type(error)(error.message, where=place, hint=error.hint) from error
        self._names.append(name)

    def publish(self) -> tuple[Path, ...]:
        """Move all files into place, replacing older ones; whatever fails, all old ones are back.

        Raises:
            UsageError, CapacityError: names the file that could not be put into place.
        """
        assert self._staging is not None
        done: list[tuple[Path, Path | None]] = []
        target = self._folder
        try:
            for name in self._names:
                target, aside = self._folder / name, self._staging / f"{name}.old"
                done.append((target, aside if _set_aside(target, aside) else None))
                (self._staging / name).replace(target)
            sync_folder(self._folder)
        except OSError as error:
            _take_back(done)
            raise file_error(error, str(target)) from error
        except BaseException:
            _take_back(done)
            raise
        return tuple(self._folder / name for name in self._names)


def _check_free(target: Path) -> None:
    """See that a file can be put here, over an older one perhaps."""
    if target.is_dir() and not target.is_symlink():
        raise UsageError(
            "a folder has the name of a file to be written",
            where=str(target),
            hint="move the folder away, or choose another output_model_file_prefix or working_dir",
        )


def _set_aside(target: Path, aside: Path) -> bool:
    """Give the file at `target` a second name; whether there is one."""
    _check_free(target)  # again: a conversion takes minutes
    if not os.path.lexists(target):
        return False
    try:
        os.link(target, aside, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        target.replace(aside)  # a file system without hard links
    return True


def _take_back(done: Iterable[tuple[Path, Path | None]]) -> None:
    """Undo moves into place: (place, where the older file is now)."""
    for target, aside in done:
        with contextlib.suppress(OSError):
            if aside is None:
                target.unlink(missing_ok=True)
            else:
                aside.replace(target)


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
