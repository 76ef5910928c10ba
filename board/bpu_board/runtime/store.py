"""Models on the board's disk, by the SHA-256 of their file.

Layout under the root (folders 0700, files 0600): `models/<sha256>.bin` holds complete, checked
files; `uploads/<sha256>.part` holds what has arrived of the others. A file moves from the second
to the first by one rename after its digest and its structure were checked and its bytes were
flushed, so a model is either whole or absent, whatever kills the process. Nothing a client sends
becomes part of a path except a digest of 64 hexadecimal digits.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpu_board.runtime.reserve import give_back, open_own, reserve
from bpu_board.runtime.shelf import DIGEST, ReadModels, Shelf, StoredModel
from bpu_common import container
from bpu_common.errors import CapacityError, DeployError, ModelNotFound, UsageError
from bpu_common.files import private_folder, writing

logger = logging.getLogger(__name__)

MAX_MODEL_BYTES = 1 << 30
"""Largest model file (docs/bin-format.md "What a reader checks")."""

_SHORT_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_RESERVE_BYTES = 16 << 20

MAX_UPLOADS = 64
"""Unfinished uploads; one more is refused."""

ABANDONED_S = 7 * 24 * 3600.0
"""An upload that has not grown for so long is thrown away."""

_STALLED_S = 600.0
"""One that has not grown for so long gives way when the disk is full, or there are too many."""

_IF_FULL = "remove models that are not used any more (`bpu remove`)"
_OTHERWISE = "give the agent a folder that it may write to as --store"


class ModelStore:
    """A folder of models; safe for several threads and several processes.

    What the disk does not take is a CapacityError, what it does not allow a UsageError, and both
    name the folder.

    Args:
        read: what decides whether a file is a model, and tells what it holds.

    Attributes:
        generation: counts the changes made through this object.
    """

    def __init__(self, root: Path | str, read: ReadModels) -> None:
        self.root = Path(root)
        self._read = read
        self._shelf = Shelf(self.root / "models", read)
        self._uploads = self.root / "uploads"
        self.generation = 0
        with writing(self.root, if_full=_IF_FULL, otherwise=_OTHERWISE):
            private_folder(self.root.resolve(), _OTHERWISE)  # it may be a link to another disk
            for folder in (self._shelf.folder, self._uploads):
                private_folder(folder, _OTHERWISE)
        self._sweep(ABANDONED_S)

    def begin(self, digest: str, size_bytes: int) -> int:
        """Prepare or resume an upload; returns the offset of the first byte that is missing.

        The room for all of it is taken now, so that of two uploads that do not fit together the
        second is refused at its start; `release` gives back what is not used. Uploads that nobody
        goes on with are thrown away here: see `ABANDONED_S`.

        An offset equal to `size_bytes` means that the model is complete already, or that all its
        bytes have arrived: `commit` is the next step and does no harm.

        A stored file that is damaged is thrown away and comes anew.

        Raises:
            UsageError: not a digest.
            InputError: something that is no file lies where it belongs.
            CapacityError: larger than the format allows, or than the disk has room for, or too
                many uploads are unfinished.
        """
        part = self._part(digest)
        if not 0 < size_bytes <= MAX_MODEL_BYTES:
            raise CapacityError(
                f"a model of {size_bytes} bytes cannot be stored, the limit is {MAX_MODEL_BYTES}"
            )
        self._sweep(ABANDONED_S)
        is_full = shutil.disk_usage(self._uploads).free < size_bytes + _RESERVE_BYTES
        if is_full or not self._may_begin(part):
            self._sweep(_STALLED_S, keep=digest)
        with self._locked(digest):
            if self._shelf.is_whole(digest):
                return size_bytes
            self._drop_damaged(digest)
            if not self._may_begin(part):
                raise CapacityError(
                    f"{MAX_UPLOADS} uploads are unfinished",
                    where=str(self.root),
                    hint=f"finish them, or wait: after {_STALLED_S / 60:.0f} minutes they give way",
                )
            have, held = _sizes(part)
            if have > size_bytes:
                part.unlink()
                have = held = 0
            free = shutil.disk_usage(self._uploads).free
            if free + held < size_bytes + _RESERVE_BYTES:
                raise CapacityError(
                    f"the disk of {self.root} has {free} bytes free, the model needs "
                    f"{size_bytes - held} more",
                    hint=_IF_FULL,
                )
            reserve(part, size_bytes)
            return have

    def append(self, digest: str, offset: int, chunk: bytes | memoryview) -> int:
        """Write the next bytes of an upload; returns the new offset.

        Bytes that have arrived before are skipped, so a chunk may be sent again.

        Raises:
            DeployError: there is a gap between what has arrived and `offset`.
        """
        part = self._part(digest)
        with self._locked(digest):
            if self._file(digest).exists():
                return offset + len(chunk)
            descriptor = open_own(part)
            try:
                have = os.fstat(descriptor).st_size
                if not 0 <= offset <= have:
                    raise DeployError(
                        f"upload of {digest[:12]} continues at byte {offset}, but only {have} "
                        "bytes have arrived",
                        hint=f"send the bytes from {have} on",
                    )
                fresh = memoryview(chunk)[have - offset :]
                if have + len(fresh) > MAX_MODEL_BYTES:
                    raise CapacityError(
                        f"upload of {digest[:12]} is larger than {MAX_MODEL_BYTES} bytes"
                    )
                while fresh:  # a disk that is nearly full takes a part of it
                    written = os.pwrite(descriptor, fresh, have)
                    fresh, have = fresh[written:], have + written
                return have
            finally:
                os.close(descriptor)

    def release(self, digest: str) -> None:
        """Give back the room that an unfinished upload has taken and not filled.

        What has arrived stays, and `begin` goes on with it.
        """
        with self._locked(digest):
            give_back(self._part(digest))

    def commit(self, digest: str) -> StoredModel:
        """Check a complete upload and make it visible. Doing it again is harmless.

        Raises:
            DeployError: bytes are missing or damaged (the upload is thrown away if damaged).
            ModelFormatError: the file is not a model that this software can read.
        """
        part, file = self._part(digest), self._file(digest)
        with self._locked(digest):
            if file.exists():
                return self._shelf.stored(digest)
            if not _is_file(part):
                raise DeployError(f"nothing of {digest[:12]} has been uploaded")
            found = container.digest(part)
            if found != digest:
                part.unlink()
                raise DeployError(
                    f"the upload has digest {found[:12]}, but {digest[:12]} was announced; it was "
                    "thrown away",
                    hint="deploy the model again",
                )
            try:
                models = self._read(part)
            except Exception:
                part.unlink()
                raise
            _flush(part)
            part.replace(file)
            _flush(self._shelf.folder)
            self.generation += 1
            self._shelf.known(digest, models)
            return self._shelf.stored(digest)

    def put(self, data: bytes) -> StoredModel:
        """Store a whole file at once.

        Raises:
            ModelFormatError: it is not a model that this software can read.
            CapacityError: no room.
        """
        digest = container.digest(data)
        offset = self.begin(digest, len(data))
        self.append(digest, offset, memoryview(data)[offset:])
        return self.commit(digest)

    def discard(self, digest: str) -> None:
        """Throw away what has arrived of an unfinished upload, if anything."""
        with self._locked(digest):
            self._part(digest).unlink(missing_ok=True)

    def list(self) -> tuple[StoredModel, ...]:
        """All complete models, by digest; one that cannot be read (any more) holds no models."""
        return self._shelf.list()

    def find(self, key: str) -> StoredModel:
        """The file with this digest (at least 8 digits of it) or holding the model of this name.

        Raises:
            ModelNotFound: none.
            UsageError: several; the message lists their digests.
        """
        everything = self.list()
        found = [each for each in everything if key in each.names]
        if not found and _SHORT_DIGEST.fullmatch(key):
            found = [each for each in everything if each.digest.startswith(key)]
        if not found:
            names = sorted({name for each in everything for name in each.names})
            raise ModelNotFound(
                f"no model {key!r} on this board",
                hint=f"it has: {', '.join(names)}" if names else "deploy it first (`bpu deploy`)",
            )
        if len(found) > 1:
            digests = ", ".join(each.digest[:12] for each in found)
            raise UsageError(f"{key!r} is in several files: {digests}", hint="name a digest")
        return found[0]

    def remove(self, digest: str) -> None:
        """Delete a model. A process that has it loaded keeps its mapping.

        Raises:
            ModelNotFound: it is not there.
        """
        with self._locked(digest):
            try:
                self._file(digest).unlink()
            except FileNotFoundError:
                raise ModelNotFound(f"no model {digest[:12]} on this board") from None
            self._gone(digest)

    def _drop_damaged(self, digest: str) -> None:
        """Make room for a file that is to come in the place of a damaged one."""
        with contextlib.suppress(FileNotFoundError):
            self._file(digest).unlink()
            logger.warning("stored model %s was damaged: it is replaced", digest[:12])
            self._gone(digest)

    def _gone(self, digest: str) -> None:
        self._shelf.forget(digest)
        self.generation += 1
        _flush(self._shelf.folder)

    def _may_begin(self, part: Path) -> bool:
        """The upload has begun, or there is a place for one more."""
        return part.exists() or sum(1 for _ in self._uploads.glob("*.part")) < MAX_UPLOADS

    def _sweep(self, idle_s: float, keep: str = "") -> None:
        """Throw away unfinished uploads that have not grown for `idle_s` seconds."""
        for path in self._uploads.glob("*.part"):
            digest = path.stem
            if digest == keep or not DIGEST.fullmatch(digest) or not _older(path, idle_s):
                continue
            with self._locked(digest):
                if _older(path, idle_s):  # nobody went on with it meanwhile
                    logger.info("threw away the unfinished upload of %s", digest[:12])
                    path.unlink()

    def _file(self, digest: str) -> Path:
        return self._shelf.path(_checked(digest))

    def _part(self, digest: str) -> Path:
        return self._uploads / f"{_checked(digest)}.part"

    @contextmanager
    def _locked(self, digest: str) -> Iterator[None]:
        """Exclude other threads and other processes that work on the same digest.

        All that is written is written inside, so this is also where the disk's refusals are said.
        """
        name = self._uploads / f"{_checked(digest)[0]}.lock"  # 16 files, never removed
        with writing(self.root, if_full=_IF_FULL, otherwise=_OTHERWISE):
            descriptor = open_own(name)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # each open file excludes every other one
                yield
            finally:
                os.close(descriptor)


def _checked(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise UsageError(
            f"{digest[:80]!r} is not the digest of a model", hint="64 hexadecimal digits of SHA-256"
        )
    return digest


def _is_file(path: Path) -> bool:
    """A file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _sizes(part: Path) -> tuple[int, int]:
    """Bytes that have arrived, and bytes of the disk that the upload holds."""
    try:
        status = part.lstat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_blocks * 512


def _older(path: Path, age_s: float) -> bool:
    """The file is there and was last written longer ago."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(status.st_mode) and time.time() - status.st_mtime > age_s


def _flush(path: Path) -> None:
    """Make a file's bytes or a folder's entries survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
