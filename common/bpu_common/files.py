"""Files and folders that one process at a time writes, and nobody else sees half of."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bpu_common.errors import CapacityError, UsageError

_LOCK_WAIT_S = 0.5  # those who ask whether it is held hold it for a moment themselves
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomic(path: str | Path, data: bytes | memoryview | str) -> None:
    """Write a whole file: afterwards `path` has either its old content or all of `data`.

    A `str` is written as UTF-8. The folder must exist. The file gets the usual permissions of a new
    file (0666 less the umask); a symbolic link at `path` is replaced, not followed.

    Raises:
        UsageError: the folder is missing or cannot be written.
        CapacityError: the disk is full.
    """
    write_parts_atomic(path, (data.encode() if isinstance(data, str) else data,))


def write_parts_atomic(path: str | Path, parts: Iterable[bytes | memoryview]) -> None:
    """As `write_atomic`, for a file that comes in parts; an exception of `parts` leaves nothing."""
    target = Path(path)
    with writing(target):
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
        try:
            with os.fdopen(handle, "wb") as file:
                for part in parts:
                    file.write(part)
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
            sync_folder(target.parent)
        except BaseException:
            _remove(name)
            raise


@contextlib.contextmanager
def writing(path: str | Path, *, if_full: str = "", otherwise: str = "") -> Iterator[None]:
    """Say in a sentence why the operating system did not let the block write to `path`.

    Args:
        if_full: what to do about a full disk, if there is something better than to free space.
        otherwise: what to do about any other refusal, if there is something better to say.

    Raises:
        CapacityError: the disk, a quota or a limit of the file's size is reached.
        UsageError: the place cannot be written, for any other reason.
    """
    try:
        yield
    except OSError as error:
        raise file_error(error, str(path), if_full, otherwise) from None


def private_folder(path: Path, hint: str) -> Path:
    """Make a folder, and those above it, that its owner alone may enter (0700).

    Args:
        hint: what to do if there is something else.

    Returns:
        `path`.

    Raises:
        UsageError: it is no folder (a link to one neither), or somebody else's.
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UsageError("this is not a folder of yours", where=str(path), hint=hint)
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


class SingleLock:
    """Held by the only process of its kind, until it ends however that happens."""

    def __init__(self, path: Path, sentence: str, hint: str) -> None:
        """Take the lock.

        Args:
            sentence, hint: what to say where another process has it.

        Raises:
            UsageError: another process has it.
            OSError: the file cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(path, flags, 0o600)
        end_s = time.monotonic() + _LOCK_WAIT_S
        while not self._take():
            if time.monotonic() > end_s:
                os.close(self._handle)
                raise UsageError(sentence, where=str(path), hint=hint)
            time.sleep(_LOCK_WAIT_S / 10)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        os.close(self._handle)


def sync_folder(folder: str | Path) -> None:
    """Make a rename in `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_error(
    error: OSError, where: str, if_full: str = "", otherwise: str = ""
) -> UsageError | CapacityError:
    """What to tell a user whose file could not be written (arguments as of `writing`)."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        hint = if_full or "free space on that disk"
        return CapacityError(f"no space left to write: {reason}", where=where, hint=hint)
    if error.errno in _FORBIDDEN:
        advice = "check that you may write there, and that the disk is not mounted read-only"
    else:
        advice = "check that the folder exists and may be written"
    return UsageError(f"cannot write here: {reason}", where=where, hint=otherwise or advice)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        Path(name).unlink()
