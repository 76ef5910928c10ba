"""A local unix socket that reaches the agent's socket on a board, through SSH.

Whoever connects to it gets a stream to the agent. A lost SSH connection is made again and a dead
agent is started again when the next stream is asked for, so users of the socket need not know.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko

from bpu_common.errors import BoardUnreachable, BpuError
from bpu_host.remote.renewed import Renewed
from bpu_host.remote.ssh.connection import NothingListens, SshConnection

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_BACKLOG = 64
_RELAY_S = 60.0  # it starts the agent if need be
_MAX_STREAMS = 64
"""Streams at once through one tunnel; one more is refused."""


class Tunnel:
    """A route by paramiko.

    Args:
        dial: makes the SSH connection.
        remote_path: the agent's socket on the board.
        relay: see `SshConnection.open`; it starts the agent itself if need be.
        mend: starts the agent on the board; called when nothing listens there.
        folder: private folder for the local socket.
    """

    def __init__(
        self,
        dial: Callable[[], SshConnection],
        remote_path: str,
        relay: str,
        mend: Callable[[SshConnection], None],
        folder: Path,
    ) -> None:
        self._dial = dial
        self._remote_path = remote_path
        self._relay = relay
        self._mend = mend
        self._lock = threading.RLock()  # one thread dials or mends
        self._connection: Renewed[SshConnection] = Renewed(SshConnection.close)
        self._streams: set[_Stream] = set()
        _remove_dead(folder)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._listener = _listen(self._path)
        self._thread = threading.Thread(target=self._accept, name="tunnel", daemon=True)

    @property
    def address(self) -> str:
        return f"unix:{self._path}"

    @property
    def alive(self) -> bool:
        connection = self._connection.newest
        return connection is not None and connection.alive

    def start(self) -> None:
        """Connect, see that the agent answers, then accept streams.

        Raises:
            BpuError: the board cannot be reached, or its agent cannot be started.
        """
        self.recover()
        self._thread.start()

    def recover(self) -> None:
        channel = self._open()
        try:
            if self.connection().relays:
                self._await_relay(channel)
        finally:
            channel.close()

    def connection(self) -> SshConnection:
        """The SSH connection, made again if it was lost.

        Raises:
            BpuError: it cannot be made.
        """
        with self._lock:
            self._connection.check_open()
            connection = self._connection.newest
            if connection is not None and connection.alive:
                return connection
            if connection is not None:
                logger.info("connecting again to %s", connection.where)
            return self._connection.keep(self._dial())

    def close(self) -> None:
        self._connection.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        for stream in list(self._streams):
            stream.close()

    def _open(self) -> paramiko.Channel:
        """A stream to the agent; the agent is started if nothing listens."""
        connection = self.connection()
        try:
            return connection.open(self._remote_path, self._relay)
        except NothingListens:
            pass
        except BoardUnreachable:
            if connection.alive:
                raise
            connection = self.connection()  # it was dead, and nobody had noticed
        with self._lock:  # one thread mends, the others find it done
            try:
                return connection.open(self._remote_path, self._relay)
            except NothingListens:
                logger.info("starting the agent of %s", connection.where)
                self._mend(connection)
            try:
                return connection.open(self._remote_path, self._relay)
            except NothingListens:  # it runs now: this server does not forward to sockets
                logger.info("%s does not forward to sockets: using a relay", connection.where)
                connection.relays = True
                return connection.open(self._remote_path, self._relay)

    def _await_relay(self, channel: paramiko.Channel) -> None:
        """Wait until a relay has reached the agent, which speaks first (HTTP/2 settings)."""
        channel.settimeout(_RELAY_S)
        try:
            if channel.recv(1):
                return
            reason = channel.recv_stderr(_CHUNK_BYTES).decode("utf-8", "replace").strip()
        except TimeoutError:
            reason = f"no answer within {_RELAY_S:g} s"
        raise BoardUnreachable(
            f"the relay on the board does not reach the agent: {reason}",
            where=self.connection().where,
        )

    def _accept(self) -> None:
        while True:
            try:
                local, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(local,), daemon=True).start()

    def _serve(self, local: socket.socket) -> None:
        with local:
            if len(self._streams) >= _MAX_STREAMS:
                logger.warning("more than %d streams through one tunnel", _MAX_STREAMS)
                return
            try:
                channel = self._open()
            except BpuError as error:
                logger.info("no way to the agent: %s", error)
                return
            stream = _Stream(local, channel)
            self._streams.add(stream)
            try:
                stream.run()
            finally:
                self._streams.discard(stream)


class _Stream:
    """Bytes both ways between a local connection and a channel, until either ends."""

    def __init__(self, local: socket.socket, channel: paramiko.Channel) -> None:
        self._local = local
        self._channel = channel

    def run(self) -> None:
        back = threading.Thread(target=self._from_board, daemon=True)
        back.start()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while data := self._local.recv(_CHUNK_BYTES):
                self._channel.sendall(data)
        self.close()
        back.join()

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
        with contextlib.suppress(OSError):
            self._local.shutdown(socket.SHUT_RDWR)

    def _from_board(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while data := self._channel.recv(_CHUNK_BYTES):
                self._local.sendall(data)
        self.close()


def _listen(path: Path) -> socket.socket:
    """A listening socket that only this user can reach: 0600 in a folder of 0700."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise BoardUnreachable(
            f"cannot listen: {error.strerror or error}",
            where=str(path),
            hint="sockets need a short path: set XDG_RUNTIME_DIR to a short one",
        ) from None
    return listener


def _remove_dead(folder: Path) -> None:
    """Remove sockets of programs that were killed."""
    for path in folder.glob("*-*.sock"):
        pid, _, _ = path.name.partition("-")
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)
