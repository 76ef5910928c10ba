"""One SSH connection: commands on the board and streams to its sockets."""

from __future__ import annotations

import contextlib
import io
import shlex
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import paramiko

from bpu_common.errors import BoardUnreachable
from bpu_host.remote.ssh.streamlocal import open_streamlocal

_CHUNK_BYTES = 1 << 17
_OPEN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended."""

    status: int
    out: str
    err: str


class NothingListens(BoardUnreachable):
    """The board is there, and nothing accepts connections on the socket."""


class Connection(Protocol):
    """A way to a board."""

    @property
    def where(self) -> str:
        """Whom errors name."""

    @property
    def alive(self) -> bool:
        """No loss has been noticed."""

    def run(self, script: str, data: bytes | Path = b"", timeout_s: float = 60.0) -> Completed:
        """Run a script of `sh` with `data` as its input.

        Raises:
            BoardUnreachable: the connection was lost, or it took longer.
        """

    def close(self) -> None:
        """End it and everything that goes through it."""


class SshConnection:
    """A connection by paramiko; thread-safe.

    Args:
        transport: logged in; closed with this.
    """

    def __init__(self, transport: paramiko.Transport, where: str) -> None:
        self._transport = transport
        self._where = where
        self._lock = threading.Lock()
        self._held: paramiko.Channel | None = None
        self.relays = False  # this server does not forward to sockets: see `open`

    @property
    def where(self) -> str:
        return self._where

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def run(self, script: str, data: bytes | Path = b"", timeout_s: float = 60.0) -> Completed:
        end_s = time.monotonic() + timeout_s
        try:
            with self._transport.open_session(timeout=_OPEN_TIMEOUT_S) as channel:
                channel.settimeout(timeout_s)
                channel.exec_command(shell(script))
                with contextlib.suppress(OSError), _reader(data) as source:
                    # What ends without reading its input tells by its status.
                    while chunk := source.read(_CHUNK_BYTES):
                        channel.sendall(chunk)
                channel.shutdown_write()
                out, err = _read_all(channel, end_s)
                return Completed(channel.recv_exit_status(), out, err)
        except TimeoutError:
            raise BoardUnreachable(
                f"a command on the board takes longer than {timeout_s:g} s", where=self._where
            ) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(error) from None

    def open(self, path: str, relay: str) -> paramiko.Channel:
        """Connect to a unix socket of the board.

        Args:
            relay: command that joins its input and output to the socket; used once `relays` is
                set, for servers that do not forward to sockets.

        Raises:
            NothingListens: refused. Servers answer alike when nothing listens and when they do not
                forward.
            BoardUnreachable: the connection was lost.
        """
        self._hold_terminal()
        try:
            if not self.relays:
                return open_streamlocal(self._transport, path, _OPEN_TIMEOUT_S)
            channel = self._transport.open_session(timeout=_OPEN_TIMEOUT_S)
            channel.exec_command(shell(relay))
            return channel
        except paramiko.ChannelException:
            raise NothingListens("no agent listens", where=self._where) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(error) from None

    def close(self) -> None:
        self._transport.close()

    def _hold_terminal(self) -> None:
        """Keep a session with a terminal: only then does sshd send small packets at once.

        Without it each call of more than a packet takes 44 ms on loopback, waiting for an ACK.
        """
        with self._lock:
            if self._held is None:
                with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                    channel = self._transport.open_session(timeout=_OPEN_TIMEOUT_S)
                    self._held = channel
                    channel.get_pty()
                    channel.exec_command("exec cat")

    def _lost(self, error: Exception) -> BoardUnreachable:
        return BoardUnreachable(
            f"the SSH connection was lost: {error or type(error).__name__}",
            where=self._where,
            hint="calling again makes a new one",
        )


def shell(script: str) -> str:
    """A command line that runs a script of `sh`, whatever shell the user logs in with."""
    return f"exec sh -c {shlex.quote(script)}"


def _reader(data: bytes | Path) -> IO[bytes]:
    return data.open("rb") if isinstance(data, Path) else io.BytesIO(data)


def _read_all(channel: paramiko.Channel, end_s: float) -> tuple[str, str]:
    """Both outputs to their ends; TimeoutError at `end_s`."""
    out, err = bytearray(), bytearray()
    while True:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(_CHUNK_BYTES)
        channel.settimeout(min(left_s, 0.5))
        try:
            if not (data := channel.recv(_CHUNK_BYTES)):
                break
        except TimeoutError:
            continue
        out += data
    channel.settimeout(max(end_s - time.monotonic(), 0.01))
    while data := channel.recv_stderr(_CHUNK_BYTES):
        err += data
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
