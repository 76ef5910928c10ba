"""The receiving end of `bpu deploy`: what arrives goes to the store, chunk by chunk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from bpu_board.runtime import ModelStore, Runtime, StoredModel
from bpu_common.board import UploadHeader, UploadState
from bpu_common.errors import BpuError, DeployError, UsageError

RunBlocking = Callable[[Callable[[], None]], Awaitable[None]]


class Upload:
    """One upload stream; what has arrived stays when the stream is cut.

    The methods block: call them from a thread.
    """

    def __init__(self, runtime: Runtime, header: UploadHeader) -> None:
        if runtime.store is None:
            raise UsageError("this agent has no store to deploy to")
        self._runtime = runtime
        self._store: ModelStore = runtime.store
        self._header = header
        self._position = header.offset_bytes
        self.arrived = 0

    def begin(self) -> None:
        """Find out how much of the file is here."""
        self.arrived = self._store.begin(self._header.digest, self._header.size_bytes)

    def take(self, chunk: bytes) -> None:
        """Store the next bytes of the stream.

        Raises:
            DeployError: more than was announced, or not a continuation of what is here.
        """
        header = self._header
        if self._position + len(chunk) > header.size_bytes:
            raise DeployError(f"more bytes than the {header.size_bytes} that were announced")
        self.arrived = self._store.append(header.digest, self._position, chunk)
        self._position += len(chunk)

    def release(self) -> None:
        """The stream is over: give back the room of what has not come."""
        if self.arrived < self._header.size_bytes:
            self._store.release(self._header.digest)

    def state(self) -> UploadState:
        """The answer to the stream: complete and visible, or where to go on.

        Raises:
            DeployError: the bytes do not have the announced digest.
            ModelFormatError: they are not a model.
        """
        header = self._header
        if self.arrived < header.size_bytes:
            return UploadState(header.digest, self.arrived)
        stored = self._store.commit(header.digest)
        replaced = self._replace(stored) if header.replace else ()
        return UploadState(stored.digest, stored.size_bytes, True, stored.names, replaced)

    def _replace(self, stored: StoredModel) -> tuple[str, ...]:
        """Remove the older files whose models all have a name in this one."""
        names = set(stored.names)
        replaced = []
        for older in self._store.list():
            if older.digest == stored.digest or not names.issuperset(older.names):
                continue
            try:
                self._runtime.remove(older.digest)
            except BpuError:  # running, or gone already: it stays until somebody removes it
                continue
            replaced.append(older.digest)
        return tuple(replaced)


async def receive(upload: Upload, chunks: AsyncIterator[bytes], run: RunBlocking) -> None:
    """Take all chunks of a stream, blocking work on a thread of `run`."""
    await run(upload.begin)
    try:
        async for chunk in chunks:
            await run(partial(upload.take, chunk))
    finally:
        await run(upload.release)
