"""A store whose disk lies, whose folder is shared, or that somebody else has written into."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bpu_board.devices.binary import read_models
from bpu_board.runtime import store as module
from bpu_board.runtime.store import MAX_UPLOADS, ModelStore
from bpu_common import container
from bpu_common.errors import BpuError, CapacityError, InputError, ModelNotFound, UsageError
from tests.support.agent_remote import Agent
from tests.support.models_board import tiny_model

DATA = container.dump([tiny_model()])
OTHER = container.dump([tiny_model("other")])
DIGEST = container.digest(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store", read_models)


def again(store: ModelStore) -> ModelStore:
    """The store as an agent finds it that starts now."""
    return ModelStore(store.root, read_models)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte": flip,
    "cut": lambda path: path.write_bytes(DATA[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "another model": lambda path: path.write_bytes(OTHER),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("renew", [again, lambda store: store], ids=["started anew", "running"])
def test_a_damaged_model_is_none_and_the_next_deploy_mends_it(
    store: ModelStore,
    damage: Callable[[Path], object],
    renew: Callable[[ModelStore], ModelStore],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = store.put(DATA).path
    damage(path)
    store = renew(store)
    assert [(each.digest, each.names) for each in store.list()] == [(DIGEST, ())]
    store.list()
    assert len(caplog.records) == 1  # told once
    for name in ("tiny", "other"):
        with pytest.raises(ModelNotFound):
            store.find(name)
    assert store.begin(DIGEST, len(DATA)) == 0
    assert store.put(DATA).names == ("tiny",)
    assert store.find("tiny").path.read_bytes() == DATA


def test_without_the_digest_another_model_would_be_served(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.put(DATA).path
    path.write_bytes(OTHER)
    monkeypatch.setattr(container, "digest", lambda _: DIGEST)
    assert again(store).find("other").digest == DIGEST


def fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    os.chdir(path.parent)  # the paths of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "fifo": fifo,
    "socket": a_socket,
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a model": lambda path: path.symlink_to(path.with_name("elsewhere")),
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_disturbs_nothing_else(
    store: ModelStore,
    make: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(store.root)
    good = store.put(OTHER)
    path = store.root / "models" / f"{DIGEST}.bin"
    path.with_name("elsewhere").write_bytes(DATA)
    make(path)
    for each in (store, again(store)):
        assert each.find("other") == good
        assert (DIGEST, ()) in [(found.digest, found.names) for found in each.list()]
        with pytest.raises(InputError, match="no file"):
            each.put(DATA)
    if path.is_dir():
        with pytest.raises(UsageError):
            store.remove(DIGEST)
    else:
        store.remove(DIGEST)
        assert store.list() == (good,)
        assert path.with_name("elsewhere").read_bytes() == DATA


def test_a_link_is_not_written_through(store: ModelStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    part = store.root / "uploads" / f"{DIGEST}.part"
    part.symlink_to(victim)
    actions: tuple[Callable[[], object], ...] = (
        lambda: store.begin(DIGEST, len(DATA)),
        lambda: store.append(DIGEST, 0, DATA),
        lambda: store.commit(DIGEST),
        lambda: store.release(DIGEST),
    )
    for action in actions:
        with pytest.raises(BpuError):
            action()
    assert victim.read_bytes() == b"precious"
    store.discard(DIGEST)
    assert store.put(DATA).names == ("tiny",)


@pytest.mark.parametrize("folder", ["models", "uploads"])
def test_folders_within_are_no_links(tmp_path: Path, folder: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "store"
    root.mkdir()
    (root / folder).symlink_to(elsewhere)
    with pytest.raises(UsageError, match="not a folder of yours"):
        ModelStore(root, read_models)


def test_a_store_may_lie_behind_a_link_of_its_owner(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = ModelStore(tmp_path / "store", read_models)
    assert store.put(DATA).path.read_bytes() == DATA


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(UsageError, match="not a folder of yours"):
        ModelStore(tmp_path / "store", read_models)


def test_unfinished_uploads_are_few(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_UPLOADS):
        store.begin(f"{number:064x}", 1000)
    with pytest.raises(CapacityError, match=f"{MAX_UPLOADS} uploads are unfinished"):
        store.put(DATA)
    assert store.begin(f"{0:064x}", 1000) == 0  # one that has begun goes on
    monkeypatch.setattr(module, "_STALLED_S", -1.0)  # all have stood still for long
    assert store.put(DATA).names == ("tiny",)
    assert not list((store.root / "uploads").glob("*.part"))


def test_a_second_agent_on_a_store_is_refused(tmp_path: Path) -> None:
    with Agent(tmp_path) as first:
        second = Agent(tmp_path)
        with pytest.raises(AssertionError, match="another agent serves this store"):
            second.start()
        second.kill()
        assert first.process is not None
        assert first.process.poll() is None
        first.kill()
        second.start()  # a killed one leaves nothing behind
        second.stop()
