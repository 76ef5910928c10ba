"""Whether the last conversion of a folder still holds: for another photo nothing is done again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bpu_common import __version__

_RECORD = "converted.sha256"
_PRODUCT = Path("model_output") / "demo.bin"


def is_current(folder: Path, model: Path, config: Path) -> bool:
    """The product there was made of this model with this configuration and these photos."""
    record = folder / _RECORD
    if not record.is_file() or not (folder / _PRODUCT).is_file():
        return False
    return record.read_text() == _key(folder, model, config)


def remember(folder: Path, model: Path, config: Path) -> None:
    """Note what the product there was made of."""
    (folder / _RECORD).write_text(_key(folder, model, config))


def _key(folder: Path, model: Path, config: Path) -> str:
    """A digest of everything that has a say; the product is part of it."""
    state = hashlib.sha256(__version__.encode())
    photos = sorted((folder / "photos").iterdir())
    for path in (model, config, folder / _PRODUCT, *photos):
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()
