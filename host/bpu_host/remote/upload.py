"""The sending end of a deployment: ask what is missing, send it, go on after a cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from bpu_common import container
from bpu_common.board import DeployResult, UploadHeader, UploadState
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
    digest, size_bytes = container.digest(path), path.stat().st_size
    report = progress or (lambda _done, _all: None)
    sent_bytes = 0

    def note(count: int) -> None:
        nonlocal sent_bytes
        sent_bytes += count

    pause_s = _FIRST_PAUSE_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            state = client.deploy(
                UploadHeader(digest, size_bytes, 0, replace), timeout_s=_QUERY_TIMEOUT_S
            )
            report(state.offset_bytes, size_bytes)
            if not state.complete:
                state = _send(client, path, state, size_bytes, report, note, replace)
        except BoardUnreachable:
            if attempt == ATTEMPTS:
                raise
            time.sleep(pause_s)
            pause_s *= 2
            continue
        if state.complete:
            return DeployResult(digest, size_bytes, state.models, sent_bytes, state.replaced)
    raise DeployError(
        f"the board has {state.offset_bytes} of {size_bytes} bytes after {ATTEMPTS} attempts",
        where=str(path),
        hint="deploy it again: it goes on where it stopped",
    )


def _send(
    client: BoardClient,
    path: Path,
    state: UploadState,
    size_bytes: int,
    report: Progress,
    note: Callable[[int], None],
    replace: bool,
) -> UploadState:
    header = UploadHeader(state.digest, size_bytes, state.offset_bytes, replace)

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            position = file.seek(state.offset_bytes)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                position += len(chunk)
                note(len(chunk))
                report(position, size_bytes)

    return client.deploy(header, chunks())
