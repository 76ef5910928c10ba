"""The bytes of a model's files, and what is made of errors of the libraries that read them."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpu_common.errors import BpuError, ModelFormatError

logger = logging.getLogger(__name__)

MAX_BYTES = (1 << 31) - 1
"""What protobuf reads at most."""


@contextmanager
def damage(file: str) -> Iterator[None]:
    """What the libraries raise on nonsense becomes one error of ours."""
    try:
        yield
    except BpuError:
        raise
    except Exception as error:  # each library has its own
        logger.debug("the model cannot be read: %s: %s", type(error).__name__, error)
        raise ModelFormatError(
            "the model cannot be read (the log has the details)",
            where=file,
            hint="the file may be damaged; download or export it again",
        ) from error


def read_bytes(path: Path, kind: str, suffix: str, max_bytes: int = MAX_BYTES) -> bytes:
    """A regular file of a model.

    Args:
        kind: what such files are called, for messages.
        suffix: how their names end, for messages.

    Raises:
        ModelFormatError: it cannot be read, is no regular file, or too large.
    """
    try:
        status = path.stat()
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise ModelFormatError(  # reading a pipe would wait for a writer
                "the model is no regular file", where=str(path), hint=f"give {suffix} file"
            )
        if status.st_size > max_bytes:
            end = "2 GiB" if max_bytes == MAX_BYTES else f"{max_bytes >> 20} MiB"
            raise ModelFormatError(
                f"{kind} files end at {end}", where=str(path), hint=f"give {suffix} file"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelFormatError(
            f"cannot read the model: {error.strerror}", where=str(path), hint="check the path"
        ) from error
