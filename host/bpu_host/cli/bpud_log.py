"""Where the daemon's log goes. It names boards and addresses, never keys or data."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path

_MAX_BYTES = 1 << 20
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def open_log(path: str | None, verbose: bool) -> None:
    """Log to a file of 1 MiB (one older one is kept, both 0600), or to standard error."""
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = _PrivateFile(path, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("paramiko").setLevel(logging.WARNING)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  the base class names no type
        opened = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(opened)
        Path(self.baseFilename).chmod(0o600)
        return super()._open()
