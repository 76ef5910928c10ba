"""Uploads that nobody goes on with."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bpu_board.devices.binary import read_models
from bpu_board.runtime import ModelStore
from bpu_board.runtime.store import ABANDONED_S
from bpu_common.errors import CapacityError


def _begun(store: ModelStore, data: bytes, age_s: float) -> Path:
    """An upload that stopped some time ago."""
    digest = hashlib.sha256(data).hexdigest()
    store.begin(digest, 100)
    store.append(digest, 0, data)
    path = store.root / "uploads" / f"{digest}.part"
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_abandoned_uploads_are_thrown_away(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, read_models)
    old = _begun(store, b"old", 0)
    recent = _begun(store, b"recent", ABANDONED_S - 3600)
    os.utime(old, (0, 0))
    ModelStore(tmp_path, read_models)  # the agent starts again
    assert [old.exists(), recent.exists()] == [False, True]
    os.utime(recent, (0, 0))
    last = _begun(store, b"last", 0)  # somebody begins another
    assert [recent.exists(), last.exists()] == [False, True]
    assert store.begin(last.stem, 100) == len(b"last")


def test_stalled_uploads_give_way_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path, read_models)
    stalled, growing = _begun(store, b"stalled", 3600), _begun(store, b"growing", 1)
    wanted = _begun(store, b"wanted", 3600)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(CapacityError):
        store.begin(wanted.stem, 100)
    assert [each.exists() for each in (stalled, growing, wanted)] == [False, True, True]
