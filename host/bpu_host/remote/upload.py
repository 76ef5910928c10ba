"""The sending end of a deployment: ask what is missing, send it, go on after a cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from bpu_common import container
from bpu_common.board import DeployResult, UploadHeader
from bpu_common.errors import BoardUnreachable, DeployError
from bpu_common.wire.rpc.client import BoardClient
from bpu_common.wire.rpc.limits import CHUNK_BYTES

Progress: TypeAlias = Callable[[int, int], None]

ATTEMPTS = 4
_FIRST_PAUSE_S = 0.25
_QUERY_TIMEOUT_S = 60.0  # of the question alone; a stream may take as long as it needs


def upload(
    client: BoardClient, path: Path, progress: Progress | None, *, replace: bool
) -> DeployResult:
    """Bring a file to the board. See `Board.deploy`."""
    container.load(path)  # refuse here what the board would refuse after the transfer
    sending = _Upload(client, path, progress or (lambda _done, _all: None), replace)
    pause_s = _FIRST_PAUSE_S
    for _ in range(ATTEMPTS - 1):
        try:
            return sending.run()
        except BoardUnreachable:
            time.sleep(pause_s)
            pause_s *= 2
    return sending.run()


class _Upload:
    """One file on its way; `run` may be called again after a cut."""

    def __init__(self, client: BoardClient, path: Path, report: Progress, replace: bool) -> None:
        self._client = client
        self._path = path
        self._report = report
        self._replace = replace
        self._digest = container.digest(path)
        self._size_bytes = path.stat().st_size
        self._sent_bytes = 0

    def run(self) -> DeployResult:
        state = self._client.deploy(self._header(0), timeout_s=_QUERY_TIMEOUT_S)
        if not state.complete:
            self._report(state.offset_bytes, self._size_bytes)
            header = self._header(state.offset_bytes)
            state = self._client.deploy(header, self._chunks(state.offset_bytes))
        if not state.complete:
            raise DeployError(
                f"the board has {state.offset_bytes} of {self._size_bytes} bytes",
                where=str(self._path),
                hint="the file changed meanwhile, or somebody else uploads it: deploy it again",
            )
        return DeployResult(
            self._digest, self._size_bytes, state.models, self._sent_bytes, state.replaced
        )

    def _header(self, offset_bytes: int) -> UploadHeader:
        return UploadHeader(self._digest, self._size_bytes, offset_bytes, self._replace)

    def _chunks(self, position: int) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(position)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                position += len(chunk)
                self._sent_bytes += len(chunk)
                self._report(position, self._size_bytes)
