"""The complete files of a model store: what each holds, and whether it is still what it was.

A file is what its name says, the SHA-256 of its bytes, as long as it has the same inode, size and
times; one that was changed since is hashed again before anything of it is used. What is damaged or
cannot be read is told once and holds no models: it disturbs no other.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bpu_common import container
from bpu_common.board import ModelInfo
from bpu_common.errors import BpuError, InputError, ModelFormatError

logger = logging.getLogger(__name__)

DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One file of the store.

    Attributes:
        digest: SHA-256 of the file, 64 hexadecimal digits.
        models: inside (a pack holds several); none if the file was damaged later.
    """

    digest: str
    size_bytes: int
    models: tuple[ModelInfo, ...]
    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models inside."""
        return tuple(model.name for model in self.models)


ReadModels: TypeAlias = Callable[[Path], tuple[ModelInfo, ...]]
"""Checks a model file and tells what it holds: `Device.read`."""

_Identity: TypeAlias = tuple[int, int, int, int, int]


class Shelf:
    """A folder of files `<sha256>.bin`; thread-safe, as long as only whole files are put there."""

    def __init__(self, folder: Path, read: ReadModels) -> None:
        self.folder = folder
        self._read = read
        self._seen: dict[str, tuple[_Identity, tuple[ModelInfo, ...]]] = {}

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies."""
        return self.folder / f"{digest}.bin"

    def list(self) -> tuple[StoredModel, ...]:
        """Everything that is there, by digest."""
        found = sorted(path.stem for path in self.folder.glob("*.bin"))
        stored = []
        for digest in found:
            if DIGEST.fullmatch(digest):
                try:
                    stored.append(self.stored(digest))
                except FileNotFoundError:  # removed by another process meanwhile
                    continue
        return tuple(stored)

    def stored(self, digest: str) -> StoredModel:
        """What is there under a digest.

        Raises:
            FileNotFoundError: nothing.
        """
        path = self.path(digest)
        status = path.lstat()
        identity = _identity(status)
        seen = self._seen.get(digest)
        if seen is None or seen[0] != identity:
            seen = self._seen[digest] = identity, self._look(path, digest)
        return StoredModel(digest, status.st_size, seen[1], path)

    def is_whole(self, digest: str) -> bool:
        """Hash a file anew, whatever is known about it; False if it is missing or damaged.

        Raises:
            InputError: something that is no file has its name.
        """
        path = self.path(digest)
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path)
        try:
            return container.digest(path) == digest
        except InputError:  # a sector that cannot be read
            return False

    def known(self, digest: str, models: tuple[ModelInfo, ...]) -> None:
        """The file of a digest was put there just now and holds these models."""
        self._seen[digest] = _identity(self.path(digest).lstat()), models

    def forget(self, digest: str) -> None:
        """The file of a digest is gone."""
        self._seen.pop(digest, None)

    def _look(self, path: Path, digest: str) -> tuple[ModelInfo, ...]:
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # opening a pipe would wait for a writer
                raise _no_file(path)
            if container.digest(path) != digest:
                raise ModelFormatError("its bytes are not those that were deployed")
            return self._read(path)
        except FileNotFoundError:
            raise
        except (BpuError, OSError) as error:
            reason = error.message if isinstance(error, BpuError) else error.strerror
            logger.warning("stored model %s cannot be used: %s", digest[:12], reason)
            return ()


def _identity(status: os.stat_result) -> _Identity:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *times)


def _no_file(path: Path) -> InputError:
    return InputError(
        "there is something that is no file", where=str(path), hint="remove it by hand"
    )
