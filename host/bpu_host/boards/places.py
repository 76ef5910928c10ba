"""Where the host keeps what it knows about boards: folders of the user, 0700."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bpu_common.environment import CACHE_HOME, CONFIG_HOME, RUNTIME_DIR, STATE_HOME, home_folder
from bpu_common.errors import UsageError
from bpu_common.files import private_folder


def config_folder() -> Path:
    """Inventory and known host keys."""
    return _private(home_folder(CONFIG_HOME) / "openbpu")


def cache_folder() -> Path:
    """What can be made again: wheels for boards."""
    return _private(home_folder(CACHE_HOME) / "openbpu")


def state_folder() -> Path:
    """What should outlive a restart but is nobody's configuration: the daemon's job log."""
    return _private(home_folder(STATE_HOME) / "openbpu")


def runtime_folder() -> Path:
    """Sockets of running programs.

    Raises:
        UsageError: the folder belongs to somebody else.
    """
    base = RUNTIME_DIR.value
    if base and Path(base).is_dir():
        return _private(Path(base) / "openbpu")
    # The name in the shared folder is anybody's to take: see that it is ours.
    return _private(Path(tempfile.gettempdir()) / f"openbpu-{os.getuid()}")


def _private(path: Path) -> Path:
    try:
        return private_folder(path, "remove it, or set XDG_* folders")
    except OSError as error:
        raise UsageError(f"cannot make the folder: {error.strerror}", where=str(path)) from None
