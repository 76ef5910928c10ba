"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from bpu_common.errors import CapacityError, UsageError

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
