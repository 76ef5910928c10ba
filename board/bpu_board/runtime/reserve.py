"""Room on the disk for a file that is still to come.

The room is taken beyond the file's end (Linux `fallocate` with FALLOC_FL_KEEP_SIZE), so the size of
the file remains the number of bytes that have arrived. `os.posix_fallocate` moves the end and
cannot say that. A file system without it takes nothing: a full disk is then met while writing.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_KEEP_SIZE = 1
_NOT_HERE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.ESPIPE, errno.EINVAL}


def open_own(path: Path) -> int:
    """A descriptor of a file to read and write, made (0600) if it is not there.

    Raises:
        OSError: it cannot be opened, or is a link: what it points to is nobody's upload.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def reserve(path: Path, size_bytes: int) -> None:
    """Take room for `size_bytes` bytes of a file, made (0600, empty) if it is not there.

    Raises:
        OSError: no room (ENOSPC, EDQUOT); a file that was made for it is gone again.
    """
    made = not path.exists()
    descriptor = open_own(path)
    try:
        _fallocate(descriptor, size_bytes)
    except OSError:
        if made:
            path.unlink()
        raise
    finally:
        os.close(descriptor)


def give_back(path: Path) -> None:
    """Keep the bytes of a file and no room beyond them; nothing happens if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _fallocate(descriptor: int, size_bytes: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is None:  # no Linux
        return
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if call(descriptor, _KEEP_SIZE, 0, size_bytes) != 0:
        number = ctypes.get_errno()
        if number not in _NOT_HERE:
            raise OSError(number, os.strerror(number))
