"""Models that are ready to run, and how a caller's word for one is understood."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bpu_board.device import Device
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime.store import ModelStore, StoredModel
from bpu_common import container
from bpu_common.board import ModelEntry
from bpu_common.errors import ModelNotFound, UsageError
from bpu_common.model import BpuModel


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One loaded model.

    Attributes:
        digest: of the file it came from, empty for a model given in memory.
        handle: the device's.
    """

    model: BpuModel
    digest: str
    handle: int
    counters: ModelCounters


class Sessions:
    """The loaded models of one device; thread-safe.

    A key is a model's name, a digest (at least 8 digits) of a file that holds one model, or
    `digest/name` for one model of a pack. Files of the store are loaded on first use.
    """

    def __init__(
        self, device: Device, store: ModelStore | None, log: EventLog | None = None
    ) -> None:
        self._device = device
        self._log = log or EventLog()
        self._store = store
        self._lock = threading.RLock()
        self._loaded: dict[tuple[str, str], Session] = {}
        self._known: dict[str, Session] = {}
        self._counters: tuple[ModelCounters, ...] = ()
        self._generation = -1

    def install(self, models: Sequence[BpuModel], digest: str = "") -> tuple[Session, ...]:
        """Load models given in memory.

        Raises:
            UsageError: a model of the same name and digest is loaded already.
        """
        with self._lock:
            for model in models:
                if (digest, model.name) in self._loaded:
                    raise UsageError(f"a model named {model.name!r} is loaded already")
            return tuple(self._load_one(model, digest) for model in models)

    def get(self, key: str) -> Session:
        """The session a key means, loaded if it was not.

        Raises:
            ModelNotFound: nothing of this name.
            UsageError: the key means several models.
        """
        session = self._known.get(key)
        if session is not None and self._generation == self._store_generation():
            return session  # without the lock, which may be held while another model is loaded
        with self._lock:
            generation = self._store_generation()
            if generation != self._generation:
                self._known.clear()
                self._generation = generation
            session = self._known.get(key)
            if session is None:
                session = self._resolve(key)
                self._known[key] = session
            return session

    def load(self, key: str) -> tuple[Session, ...]:
        """Load every model that a key means (a digest of a pack means all of it).

        Raises:
            ModelNotFound: nothing of this name.
        """
        with self._lock:
            file = self._file(key)
            if file is None or key in file.names:
                return (self.get(key),)
            return self._load_file(file)

    def unload(self, key: str) -> None:
        """Forget loaded models; a key that is only in the store is left alone.

        Raises:
            ModelNotFound: nothing of this name is loaded or stored.
            UsageError: a task of it is alive.
        """
        with self._lock:
            found = [s for s in self._loaded.values() if _matches(key, s)]
            if not found:
                self._file(key, required=True)
                return
            for session in found:
                if session.counters.loads:
                    raise UsageError(
                        f"a load runs on model {session.model.name}", hint="stop the load first"
                    )
                if session.counters.alive:
                    raise UsageError(
                        f"model {session.model.name} is running "
                        f"({session.counters.alive} tasks, HB_DNN_MODEL_IS_RUNNING)",
                        hint="wait for its tasks, or cancel them",
                    )
            for session in found:
                self._device.unload(session.handle)
                del self._loaded[session.digest, session.model.name]
                self._log.info(self._device.now_ns(), f"{session.model.name} unloaded")
            self._changed()

    def entries(self) -> tuple[ModelEntry, ...]:
        """Everything that can be run, stored files first."""
        with self._lock:
            files = () if self._store is None else self._store.list()
            entries = [
                ModelEntry(name, file.digest, file.size_bytes, (file.digest, name) in self._loaded)
                for file in files
                for name in file.names
            ]
            stored = {(entry.digest, entry.name) for entry in entries}
            entries += [
                ModelEntry(name, digest, 0, True)
                for digest, name in self._loaded
                if (digest, name) not in stored
            ]
            return tuple(entries)

    def counters(self) -> tuple[ModelCounters, ...]:
        """Of all loaded models; never waits."""
        return self._counters

    def _store_generation(self) -> int:
        return -1 if self._store is None else self._store.generation

    def _changed(self) -> None:
        self._known.clear()
        self._counters = tuple(session.counters for session in self._loaded.values())

    def _resolve(self, key: str) -> Session:
        digest, _, name = key.rpartition("/")
        file = self._file(digest or key)
        if file is not None:
            wanted = name if digest or key in file.names else ""
            if not wanted and len(file.names) != 1:
                raise UsageError(
                    f"{key!r} holds {len(file.names)} models: {', '.join(file.names)}",
                    hint="name one of them",
                )
            return _pick(self._load_file(file), wanted or file.names[0], key)
        found = [s for s in self._loaded.values() if _matches(key, s)]
        if len(found) > 1:
            raise UsageError(f"{key!r} means several loaded models", hint="use digest/name")
        if not found:
            raise self._unknown(key)
        return found[0]

    def _file(self, key: str, required: bool = False) -> StoredModel | None:
        if self._store is None:
            if required:
                raise self._unknown(key)
            return None
        try:
            return self._store.find(key)
        except ModelNotFound:
            if required or not any(_matches(key, s) for s in self._loaded.values()):
                raise
            return None

    def _unknown(self, key: str) -> ModelNotFound:
        names = ", ".join(sorted(name for _, name in self._loaded))
        return ModelNotFound(
            f"no model {key!r} is loaded", hint=f"loaded: {names}" if names else "load one first"
        )

    def _load_file(self, file: StoredModel) -> tuple[Session, ...]:
        known = [self._loaded.get((file.digest, name)) for name in file.names]
        if all(session is not None for session in known):
            return tuple(session for session in known if session is not None)
        models = container.load(file.path)
        return tuple(
            self._loaded.get((file.digest, model.name)) or self._load_one(model, file.digest)
            for model in models
        )

    def _load_one(self, model: BpuModel, digest: str) -> Session:
        handle = self._device.load(model)
        counters = ModelCounters(model.name, digest)
        session = Session(model, digest, handle, counters)
        self._loaded[digest, model.name] = session
        self._changed()
        self._log.info(self._device.now_ns(), f"{model.name} loaded")
        return session


def _matches(key: str, session: Session) -> bool:
    digest, name = session.digest, session.model.name
    by_digest = len(key) >= 8 and bool(digest) and digest.startswith(key)
    return key == name or key == f"{digest}/{name}" or by_digest


def _pick(sessions: Iterable[Session], name: str, key: str) -> Session:
    for session in sessions:
        if session.model.name == name:
            return session
    raise ModelNotFound(f"no model {key!r} on this board")
