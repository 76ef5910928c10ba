"""Remembering what has been proved: constants of a network by the digest of its file.

A small folder of this user, `$XDG_CACHE_HOME/openbpu/engines` or `~/.cache/openbpu/engines`. What
stands in it is believed, so it must belong to the user and be writable for nobody else; a damaged
or foreign file is as good as none. Losing the folder costs a second a model.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from pathlib import Path

import numpy as np
import onnxruntime

from bpu_common.environment import CACHE_HOME, home_folder
from bpu_common.errors import BpuError
from bpu_common.files import write_atomic
from bpu_sim.engines.ort import hints

MAX_FILES = 64
_MAX_BYTES = 64 << 20
_DIGEST_BYTES = 32


class Proofs:
    """The folder; every failure of it is an absence.

    Args:
        folder: None for that of the user.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _user_folder()

    def load(self, digest: str) -> bytes | None:
        """The hints that were proved for a file, if they are remembered.

        Args:
            digest: of the file that holds the network.
        """
        path = self._path(digest)
        if path is None:
            return None
        try:
            if path.stat().st_size > _MAX_BYTES:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        content = data[_DIGEST_BYTES:]
        return content if hashlib.sha256(content).digest() == data[:_DIGEST_BYTES] else None

    def save(self, digest: str, proved: bytes) -> None:
        """Remember hints that were proved for a file; the oldest ones go."""
        path = self._path(digest)
        if path is None:
            return
        with contextlib.suppress(OSError, BpuError):
            write_atomic(path, hashlib.sha256(proved).digest() + proved)
            files = sorted(path.parent.glob("*.proof"), key=lambda each: each.stat().st_mtime)
            for old in files[:-MAX_FILES]:
                old.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path | None:
        """Where the hints of a file stand, if the folder may be believed."""
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = self._folder.stat()
        except OSError:
            return None
        shared = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if info.st_uid != os.getuid() or shared:
            return None
        versions = (hints.VERSION, np.__version__, onnxruntime.__version__, platform.machine())
        key = hashlib.sha256(repr((digest, versions)).encode()).hexdigest()
        return self._folder / f"{key}.proof"


def _user_folder() -> Path | None:
    try:
        return home_folder(CACHE_HOME) / "openbpu" / "engines"
    except RuntimeError:  # a user without a home
        return None
