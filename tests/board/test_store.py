"""The model store: content-addressed, resumable, atomic under kill -9, private."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from bpu_board.devices.binary import read_models
from bpu_board.runtime.store import ModelStore
from bpu_common import container
from bpu_common.errors import (
    CapacityError,
    DeployError,
    ModelFormatError,
    ModelNotFound,
    UsageError,
)
from tests.support.models_board import tiny_model


@pytest.fixture(scope="module")
def data() -> bytes:
    return container.dump([tiny_model()])


@pytest.fixture
def store(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "store", read_models)


def upload(store: ModelStore, data: bytes, chunk: int = 1000) -> str:
    digest = hashlib.sha256(data).hexdigest()
    offset = store.begin(digest, len(data))
    while offset < len(data):
        offset = store.append(digest, offset, data[offset : offset + chunk])
    store.commit(digest)
    return digest


def test_put_and_find(store, data):
    stored = store.put(data)
    assert stored.digest == hashlib.sha256(data).hexdigest()
    assert stored.names == ("tiny",)
    assert stored.size_bytes == len(data)
    assert stored.path.read_bytes() == data
    for key in ("tiny", stored.digest, stored.digest[:8]):
        assert store.find(key) == stored
    assert store.list() == (stored,)


def test_upload_in_chunks_equals_put(store, data):
    digest = upload(store, data)
    assert store.find("tiny").digest == digest
    assert not list((store.root / "uploads").glob("*.part"))


def test_second_upload_has_nothing_to_send(store, data):
    digest = upload(store, data)
    assert store.begin(digest, len(data)) == len(data)
    assert store.append(digest, 0, data[:10]) == 10
    assert store.commit(digest).digest == digest


def test_upload_resumes_in_a_new_process(store, data):
    digest = hashlib.sha256(data).hexdigest()
    store.begin(digest, len(data))
    store.append(digest, 0, data[:777])
    again = ModelStore(store.root, read_models)
    assert again.list() == ()
    assert again.begin(digest, len(data)) == 777
    again.append(digest, 700, data[700:])  # an overlap is skipped
    assert again.commit(digest).path.read_bytes() == data


def test_gap_is_refused(store, data):
    digest = hashlib.sha256(data).hexdigest()
    store.begin(digest, len(data))
    with pytest.raises(DeployError, match="only 0 bytes have arrived"):
        store.append(digest, 5, data[5:])


def test_damaged_upload_is_thrown_away(store, data):
    digest = hashlib.sha256(data).hexdigest()
    store.begin(digest, len(data))
    store.append(digest, 0, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DeployError, match="thrown away"):
        store.commit(digest)
    assert store.begin(digest, len(data)) == 0
    assert store.list() == ()


def test_missing_upload_cannot_be_committed(store):
    with pytest.raises(DeployError, match="nothing of"):
        store.commit("0" * 64)


def test_not_a_model_is_refused_and_leaves_nothing(store):
    with pytest.raises(ModelFormatError):
        store.put(b"this is not a model file" * 100)
    assert store.list() == ()
    assert not list((store.root / "uploads").glob("*.part"))


def test_discard(store, data):
    digest = hashlib.sha256(data).hexdigest()
    store.append(digest, 0, data[:100])
    store.discard(digest)
    assert store.begin(digest, len(data)) == 0


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "/x"])
def test_names_never_become_paths(store, name):
    for action in (
        lambda: store.begin(name, 10),
        lambda: store.append(name, 0, b"x"),
        lambda: store.commit(name),
        lambda: store.remove(name),
        lambda: store.discard(name),
    ):
        with pytest.raises(UsageError, match="not the digest"):
            action()


def test_sizes_out_of_range(store):
    for size in (0, -1, (1 << 30) + 1):
        with pytest.raises(CapacityError):
            store.begin("0" * 64, size)


def test_full_disk_is_refused_before_anything_is_written(store, data, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(CapacityError, match="10 bytes free"):
        store.put(data)


def test_private_permissions(store, data):
    stored = store.put(data)
    for folder in (store.root, stored.path.parent, store.root / "uploads"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600


def test_remove(store, data):
    stored = store.put(data)
    store.remove(stored.digest)
    assert store.list() == ()
    for action in (lambda: store.remove(stored.digest), lambda: store.find("tiny")):
        with pytest.raises(ModelNotFound):
            action()


def test_same_name_in_two_files_needs_a_digest(store):
    first = store.put(container.dump([tiny_model(seed=1)]))
    store.put(container.dump([tiny_model(seed=2)]))
    with pytest.raises(UsageError, match="several files"):
        store.find("tiny")
    assert store.find(first.digest[:12]) == first


def test_file_damaged_later_is_listed_without_names(store, data, caplog):
    stored = store.put(data)
    stored.path.write_bytes(data[:-50])
    fresh = ModelStore(store.root, read_models)
    assert [(each.digest, each.names) for each in fresh.list()] == [(stored.digest, ())]
    fresh.remove(stored.digest)


def test_threads_upload_the_same_file(store, data):
    errors = []

    def work():
        try:
            for _ in range(5):
                upload(store, data, 500)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert store.find("tiny").path.read_bytes() == data


_CHILD = """
import sys
from pathlib import Path
from bpu_board.devices.binary import read_models
from bpu_board.runtime.store import ModelStore
from bpu_common import container
data = Path(sys.argv[2]).read_bytes()
store = ModelStore(sys.argv[1], read_models)
digest = container.digest(data)
sys.stdout.write("ready\\n"); sys.stdout.flush()
while True:
    offset = store.begin(digest, len(data))
    while offset < len(data):
        offset = store.append(digest, offset, data[offset : offset + 64])
    store.commit(digest)
    store.remove(digest)
"""


def test_killed_in_the_middle_leaves_a_whole_model_or_none(store, data, tmp_path):
    source = tmp_path / "model"
    source.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    for attempt in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(store.root), str(source)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.003 * (attempt + 1))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        fresh = ModelStore(store.root, read_models)
        for stored in fresh.list():
            assert stored.digest == digest
            assert stored.names == ("tiny",)
            assert stored.path.read_bytes() == data
        offset = fresh.begin(digest, len(data))
        assert fresh.append(digest, offset, data[offset:]) == len(data)
        assert fresh.commit(digest).path.read_bytes() == data
        fresh.remove(digest)


_KILLED_AT = """
import os, signal, sys
from pathlib import Path
from bpu_board.devices.binary import read_models
from bpu_board.runtime import store as module
from bpu_common import container
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
data = Path(sys.argv[2]).read_bytes()
store = module.ModelStore(sys.argv[1], read_models)
if sys.argv[3] == "before_rename":
    os.fsync = die
elif sys.argv[3] == "after_rename":
    replace = Path.replace
    Path.replace = lambda self, target: (replace(self, target), die())
else:
    container.digest(data)
    offset = store.append(container.digest(data), 0, data[:100])
    die()
store.put(data)
"""


@pytest.mark.parametrize(
    ("where", "arrived"), [("mid_upload", 100), ("before_rename", -1), ("after_rename", -1)]
)
def test_killed_at_a_given_point(store, data, tmp_path, where, arrived):
    source = tmp_path / "model"
    source.write_bytes(data)
    command = [sys.executable, "-c", _KILLED_AT, str(store.root), str(source), where]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    fresh = ModelStore(store.root, read_models)
    digest = hashlib.sha256(data).hexdigest()
    assert [each.digest for each in fresh.list()] == ([digest] if where == "after_rename" else [])
    assert fresh.begin(digest, len(data)) == (arrived if arrived >= 0 else len(data))
    assert fresh.put(data).path.read_bytes() == data
