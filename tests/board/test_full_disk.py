"""A disk that is full or may not be written: said in a sentence, at the start where possible."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from bpu_board.devices.binary import read_models
from bpu_board.profiler.log import write_profile
from bpu_board.runtime.store import ModelStore
from bpu_board.service.folder import Folder
from bpu_common import container
from bpu_common.errors import BpuError, CapacityError, UsageError
from bpu_common.files import write_atomic
from bpu_common.perf import NodeProfile, PerfResult
from tests.support.models_board import tiny_model

MIB = 1 << 20


@pytest.fixture
def store(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "store", read_models)


@pytest.fixture
def small_disk(store, monkeypatch) -> ModelStore:
    """The store on a disk of 56 MiB: what its files hold is what is missing."""

    def usage(_: object) -> SimpleNamespace:
        held = sum(path.stat().st_blocks * 512 for path in store.root.rglob("*.*"))
        return SimpleNamespace(free=56 * MIB - held)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return store


def digest_of(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def test_the_second_of_two_uploads_that_do_not_fit_is_refused_at_its_start(small_disk):
    assert small_disk.begin(digest_of(1), 22 * MIB) == 0
    with pytest.raises(CapacityError, match="bytes free") as caught:
        small_disk.begin(digest_of(2), 22 * MIB)
    assert str(small_disk.root) in str(caught.value)
    assert "bpu remove" in caught.value.hint
    assert small_disk.append(digest_of(1), 0, bytes(MIB)) == MIB
    assert small_disk.begin(digest_of(1), 22 * MIB) == MIB  # its own room does not refuse it


def test_an_aborted_upload_gives_its_room_back_and_keeps_its_bytes(small_disk):
    small_disk.begin(digest_of(1), 22 * MIB)
    small_disk.append(digest_of(1), 0, bytes(MIB))
    small_disk.release(digest_of(1))
    assert small_disk.begin(digest_of(2), 22 * MIB) == 0
    small_disk.discard(digest_of(2))
    assert small_disk.begin(digest_of(1), 22 * MIB) == MIB


def test_reserved_room_is_no_part_of_the_file(store):
    data = container.dump([tiny_model()])
    digest = hashlib.sha256(data).hexdigest()
    store.begin(digest, len(data))
    store.append(digest, 0, data)
    assert store.commit(digest).path.read_bytes() == data


def test_a_disk_that_is_full_after_all_names_folder_and_next_step(store, monkeypatch):
    """/dev/full answers every write with ENOSPC, as a full disk does."""
    full, write = os.open("/dev/full", os.O_WRONLY), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda _, data, offset: write(full, data, offset))
    with pytest.raises(CapacityError, match="no space left") as caught:
        store.append(digest_of(3), 0, b"bytes")
    assert caught.value.where == str(store.root)
    assert "bpu remove" in caught.value.hint


REFUSALS = [
    (errno.ENOSPC, CapacityError, "no space left"),
    (errno.EDQUOT, CapacityError, "no space left"),
    (errno.EROFS, UsageError, "cannot write here"),
    (errno.EACCES, UsageError, "cannot write here"),
    (errno.EIO, UsageError, "cannot write here"),
]


def _profile() -> PerfResult:
    empty = NodeProfile({}, {}, {})
    return PerfResult("m", "x3m", 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, profile=empty)


def _store(folder: Path) -> ModelStore:
    return ModelStore(folder, read_models)


WRITERS = {
    "store opens": lambda folder: _store(folder / "new"),
    "upload begins": lambda folder: _store(folder).begin(digest_of(1), 100),
    "upload goes on": lambda folder: _store(folder).append(digest_of(1), 0, b"x"),
    "upload ends": lambda folder: _store(folder).put(container.dump([tiny_model()])),
    "service folder": lambda folder: Folder(folder / "service").make(),
    "profile": lambda folder: write_profile(folder / "profile", _profile()),
    "file": lambda folder: write_atomic(folder / "file", b"x"),
}
CALLS = ("open", "pwrite", "mkdir", "fsync", "replace", "truncate")


@pytest.mark.parametrize(("number", "kind", "words"), REFUSALS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_says_what_the_system_refuses(
    tmp_path, monkeypatch, writer, call, number, kind, words
):
    """Whichever call of the system fails: a sentence with a place and a next step, or success."""
    ModelStore(tmp_path, read_models)
    real = getattr(os, call)

    def refuse(path: object, *arguments: object, **options: object) -> object:
        reading = call == "open" and not (arguments and int(str(arguments[0])) & os.O_ACCMODE)
        if reading or (str(tmp_path) not in str(path) and not isinstance(path, int)):
            return real(path, *arguments, **options)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    error = None
    try:
        WRITERS[writer](tmp_path)
    except BpuError as caught:
        error = caught
    if error is not None:
        assert type(error) is kind
        assert words in error.message
        assert Path(error.where).is_relative_to(tmp_path)
        assert error.hint
