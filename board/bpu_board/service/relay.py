"""Standard input and output joined to a unix socket, until either side ends."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

from bpu_common.errors import BoardUnreachable

_CHUNK_BYTES = 1 << 18


def relay(path: Path) -> None:
    """Copy both ways.

    Raises:
        BoardUnreachable: nothing listens on the socket.
    """
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind("")  # a name from the system: the agent tells its clients apart by that
        try:
            agent.connect(os.fspath(path))
        except OSError as error:
            raise BoardUnreachable(f"no agent listens: {error.strerror}", where=str(path)) from None
        threading.Thread(target=_send, args=(agent,), daemon=True).start()
        out = sys.stdout.fileno()
        with contextlib.suppress(OSError):
            while data := agent.recv(_CHUNK_BYTES):
                view = memoryview(data)
                while view:
                    view = view[os.write(out, view) :]


def _send(agent: socket.socket) -> None:
    source = sys.stdin.fileno()
    with contextlib.suppress(OSError):
        while data := os.read(source, _CHUNK_BYTES):
            agent.sendall(data)
    with contextlib.suppress(OSError):
        agent.shutdown(socket.SHUT_RDWR)
