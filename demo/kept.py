"""Whether the last conversion of a folder still holds: for another photo nothing is done again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bpu_common import __version__

_RECORD = "converted.sha256"
_PRODUCT = Path("model_output") / "demo.bin"


def warnings(folder: Path, model: Path, config: Path) -> list[str] | None:
    """What the conversion that made the product there warned of.

    None: the product was not made of this model with this configuration and these photos.
    """
    record = folder / _RECORD
    if not record.is_file() or not (folder / _PRODUCT).is_file():
        return None
    key, *lines = record.read_text().splitlines()
    return lines if key == _key(folder, model, config) else None


def remember(folder: Path, model: Path, config: Path, warned: list[str]) -> None:
    """Note what the product there was made of, and the warnings about it."""
    (folder / _RECORD).write_text("\n".join([_key(folder, model, config), *warned]))


def _key(folder: Path, model: Path, config: Path) -> str:
    """A digest of everything that has a say; the product is part of it."""
    state = hashlib.sha256(__version__.encode())
    photos = sorted((folder / "photos").iterdir())
    for path in (model, config, folder / _PRODUCT, *photos):
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()
