"""Models that are ready to run, and how a caller's word for one is understood."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from bpu_board.device import Device
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime.shelf import StoredModel
from bpu_board.runtime.store import ModelStore
from bpu_common.board import ModelEntry, ModelInfo
from bpu_common.errors import BpuError, ModelNotFound, UsageError
from bpu_common.tensor import ModelInput

_REST = 10
"""A model that could not be opened is not tried again for so many times what that took."""
_MAX_REFUSED = 64


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One open model.

    Attributes:
        digest: of its file in the store, empty for a file that is not in it.
        handle: the device's.
    """

    info: ModelInfo
    digest: str
    handle: int
    counters: ModelCounters


class Sessions:
    """The open models of one device; thread-safe.

    A key is a model's name, a digest (at least 8 digits) of a file that holds one model, or
    `digest/name` for one model of a pack. Models of the store are opened on first use.

    Opening takes as long as the device needs, seconds for a large model. Only callers who want a
    model of the same file wait for it, each file having a gate of its own; the lock over the tables
    is held for moments.
    """

    def __init__(
        self, device: Device, store: ModelStore | None, log: EventLog | None = None
    ) -> None:
        self._device = device
        self._log = log or EventLog()
        self._store = store
        self._lock = threading.Lock()
        self._gates: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._open: dict[tuple[str, str], Session] = {}
        self._known: dict[str, Session] = {}
        self._counters: tuple[ModelCounters, ...] = ()
        self._generation = -1
        self._inputs: (
            tuple[tuple[int, tuple[ModelCounters, ...]], tuple[tuple[ModelInput, ...], ...]] | None
        ) = None
        self._refused: dict[tuple[str, str], tuple[float, BpuError]] = {}

    def open(self, path: Path, name: str = "") -> tuple[Session, ...]:
        """Open models of a file that is not in the store: the one of this name, or all.

        Raises:
            UsageError: a model of the same name is open already.
            ModelNotFound: the file holds no model of this name.
            ModelFormatError, InputError, CapacityError: from the device.
        """
        found = [info for info in self._device.read(path) if name in {"", info.name}]
        if not found:
            raise ModelNotFound(f"no model {name!r} in the file", where=str(path))
        for info in found:
            if ("", info.name) in self._open:
                raise UsageError(f"a model named {info.name!r} is loaded already")
        return tuple(self._ready(path, info, "") for info in found)

    def get(self, key: str) -> Session:
        """The session a key means, opened if it was not.

        Raises:
            ModelNotFound: nothing of this name.
            UsageError: the key means several models.
        """
        generation = self._store_generation()
        session = self._known.get(key)
        if session is not None and self._generation == generation:
            return session
        found = self._find(key)
        session = found if isinstance(found, Session) else self._of_store(*found)
        with self._lock:
            if generation != self._generation:
                self._known.clear()
                self._generation = generation
            if self._open.get((session.digest, session.info.name)) is session:
                self._known[key] = session
        return session

    def is_open(self, key: str) -> bool:
        """Whether `get` has the session of a key at hand."""
        return key in self._known and self._generation == self._store_generation()

    def info(self, key: str) -> ModelInfo:
        """The description of the model a key means; one of the store is not opened for it.

        Raises:
            ModelNotFound: nothing of this name.
            UsageError: the key means several models.
        """
        found = self._find(key)
        return found.info if isinstance(found, Session) else found[1]

    def load(self, key: str) -> tuple[Session, ...]:
        """Open every model that a key means (a digest of a pack means all of it).

        Raises:
            ModelNotFound: nothing of this name.
        """
        file = self._file(key)
        if file is None or key in file.names:
            return (self.get(key),)
        return tuple(self._of_store(file, info) for info in file.models)

    def unload(self, key: str) -> None:
        """Forget open models; a key that is only in the store is left alone.

        Raises:
            ModelNotFound: nothing of this name is open or stored.
            UsageError: a frame of it is alive.
        """
        with self._lock:
            found = [s for s in self._open.values() if _matches(key, s)]
        if not found:
            self._file(key, required=True)
            return
        for session in found:
            _check_idle(session)
        for session in found:
            with self._lock:
                if self._open.pop((session.digest, session.info.name), None) is None:
                    continue  # another caller was faster
                self._changed()
            self._device.release(session.handle)
            self._log.info(self._device.now_ns(), f"{session.info.name} unloaded")

    def remove(self, key: str) -> StoredModel:
        """Forget the models of a file and delete it from the store.

        Raises:
            ModelNotFound: not in the store.
            UsageError: a frame of one of its models is alive, or there is no store.
        """
        if self._store is None:
            raise UsageError("this runtime has no store to remove a model from")
        file = self._store.find(key)
        with self._gate(file.digest):
            self.unload(file.digest)
            self._store.remove(file.digest)
        return file

    def entries(self) -> tuple[ModelEntry, ...]:
        """Everything that can be run, stored files first; waits for no model that is opened."""
        files = () if self._store is None else self._store.list()
        with self._lock:
            open_ones = tuple(self._open)
        entries = [
            ModelEntry(name, file.digest, file.size_bytes, (file.digest, name) in open_ones)
            for file in files
            for name in file.names
        ]
        stored = {(entry.digest, entry.name) for entry in entries}
        entries += [
            ModelEntry(name, digest, 0, True)
            for digest, name in open_ones
            if (digest, name) not in stored
        ]
        return tuple(entries)

    def inputs(self) -> tuple[tuple[ModelInput, ...], ...]:
        """Of each model that is stored or open; the same value as long as they are the same."""
        state = (self._store_generation(), self._counters)
        if self._inputs is None or self._inputs[0] != state:
            files = () if self._store is None else self._store.list()
            with self._lock:
                found = [session.info.inputs for session in self._open.values()]
            found += [model.inputs for file in files for model in file.models]
            self._inputs = state, tuple(found)
        return self._inputs[1]

    def counters(self) -> tuple[ModelCounters, ...]:
        """Of all open models; never waits."""
        return self._counters

    def _find(self, key: str) -> Session | tuple[StoredModel, ModelInfo]:
        """What a key means: a model of the store, or else one that is open."""
        digest, name = self._split(key)
        file = self._file(digest or key)
        if file is not None:
            wanted = name if digest or key in file.names else ""
            if not wanted and len(file.names) != 1:
                raise UsageError(
                    f"{key!r} holds {len(file.names)} models: {', '.join(file.names)}",
                    hint="name one of them",
                )
            return file, _pick(file.models, wanted or file.names[0], key)
        with self._lock:
            found = [s for s in self._open.values() if _matches(key, s)]
        if len(found) > 1:
            raise UsageError(f"{key!r} means several loaded models", hint="use digest/name")
        if not found:
            raise self._unknown(key)
        return found[0]

    def _split(self, key: str) -> tuple[str, str]:
        """Digest and name of `digest/name`; no digest where all of it is a name (with a slash)."""
        digest, slash, name = key.partition("/")
        named = self._store is not None and any(key in file.names for file in self._store.list())
        if not slash or named or ("", key) in self._open:
            return "", key
        return digest, name

    def _of_store(self, file: StoredModel, info: ModelInfo) -> Session:
        return self._ready(file.path, info, file.digest)

    def _ready(self, path: Path, info: ModelInfo, digest: str) -> Session:
        """The session of a model, opened by one caller while the others wait at the gate."""
        with self._gate(digest or str(path)):
            session = self._open.get((digest, info.name))
            if session is not None:
                return session
            if digest and not path.exists():  # removed while this caller waited
                raise ModelNotFound(f"no model {info.name!r} on this board")
            handle = self._opened(path, info.name, digest)
            session = Session(info, digest, handle, ModelCounters(info.name, digest))
            with self._lock:
                self._open[digest, info.name] = session
                self._changed()
        self._log.info(self._device.now_ns(), f"{info.name} loaded")
        return session

    def _opened(self, path: Path, name: str, digest: str) -> int:
        """The device's handle; what took long to fail is not tried again at once."""
        known_until_s, known = self._refused.get((digest, name), (0.0, None))
        begin_s = time.monotonic()
        if known is not None and begin_s < known_until_s:
            raise type(known)(known.message, where=known.where, hint=known.hint)
        try:
            return self._device.open(path, name)
        except BpuError as error:
            if digest:
                end_s = time.monotonic()
                self._refused[digest, name] = end_s + _REST * (end_s - begin_s), error
                while len(self._refused) > _MAX_REFUSED:
                    del self._refused[next(iter(self._refused))]
            raise

    @contextmanager
    def _gate(self, file: str) -> Iterator[None]:
        """Exclude others who open or remove models of the same file."""
        with self._lock:
            gate = self._gates.get(file)
            if gate is None:
                gate = self._gates[file] = threading.Lock()
        with gate:
            yield

    def _store_generation(self) -> int:
        return -1 if self._store is None else self._store.generation

    def _changed(self) -> None:
        """The lock is held."""
        self._known.clear()
        self._counters = tuple(session.counters for session in self._open.values())

    def _file(self, key: str, required: bool = False) -> StoredModel | None:
        if self._store is None:
            if required:
                raise self._unknown(key)
            return None
        try:
            return self._store.find(key)
        except ModelNotFound:
            with self._lock:
                known = any(_matches(key, s) for s in self._open.values())
            if required or not known:
                raise
            return None

    def _unknown(self, key: str) -> ModelNotFound:
        names = ", ".join(sorted(name for _, name in tuple(self._open)))
        return ModelNotFound(
            f"no model {key!r} is loaded", hint=f"loaded: {names}" if names else "load one first"
        )


def _check_idle(session: Session) -> None:
    """Raise UsageError if a load or a frame needs the model."""
    name, counters = session.info.name, session.counters
    if counters.loads:
        raise UsageError(f"a load runs on model {name}", hint="stop the load first")
    if counters.alive:
        raise UsageError(
            f"model {name} is running ({counters.alive} tasks, HB_DNN_MODEL_IS_RUNNING)",
            hint="wait for its tasks, or cancel them",
        )


def _matches(key: str, session: Session) -> bool:
    digest, name = session.digest, session.info.name
    by_digest = len(key) >= 8 and bool(digest) and digest.startswith(key)
    return key == name or key == f"{digest}/{name}" or by_digest


def _pick(models: Iterable[ModelInfo], name: str, key: str) -> ModelInfo:
    for info in models:
        if info.name == name:
            return info
    raise ModelNotFound(f"no model {key!r} on this board")
