"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bpu_common.errors import CapacityError, UsageError

_NO_SPACE = {28, 122}  # ENOSPC, EDQUOT


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
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
    except OSError as error:
        raise file_error(error, target) from None
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
        sync_folder(target.parent)
    except OSError as error:
        _remove(name)
        raise file_error(error, target) from None
    except BaseException:
        _remove(name)
        raise


def sync_folder(folder: str | Path) -> None:
    """Make a rename in `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_error(error: OSError, target: Path) -> UsageError | CapacityError:
    """What to tell a user whose file could not be written."""
    if error.errno in _NO_SPACE:
        return CapacityError(
            "no space left to write the file", where=str(target), hint="free space on that disk"
        )
    return UsageError(
        f"cannot write the file: {error.strerror}",
        where=str(target),
        hint="check that the folder exists and may be written",
    )


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        Path(name).unlink()
