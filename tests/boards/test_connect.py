"""Connecting, against an SSH server in this process: who is let in, who is refused, streams."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import psutil
import pytest

from bpu_common.errors import BoardUnreachable
from bpu_host.remote.ssh import (
    HostKeys,
    NothingListens,
    SshConnection,
    Tunnel,
    connect,
    open_transport,
)
from bpu_host.remote.ssh import tunnel as tunnel_module
from bpu_host.remote.ssh.config import SshTarget, read_settings
from bpu_host.remote.ssh.streamlocal import KIND, open_streamlocal
from tests.support.agent_remote import wait_until


class Server(paramiko.ServerInterface):
    """Lets one key in; echoes on channels to sockets as long as `listens`."""

    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed
        self.listens = True
        self.kinds: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.kinds.append(kind)
        if kind == KIND and not self.listens:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_: object) -> bool:
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True


class Host:
    """Accepts connections on loopback until closed."""

    def __init__(self, key: paramiko.PKey, allowed: paramiko.PKey) -> None:
        self.key = key
        self.server = Server(allowed)
        self.transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            self.transports.append(transport)
            try:
                transport.start_server(server=self.server)
            except (paramiko.SSHException, EOFError, OSError):  # the client went away
                continue
            threading.Thread(target=self._echo, args=(transport,), daemon=True).start()

    def _echo(self, transport: paramiko.Transport) -> None:
        while transport.is_active():
            channel = transport.accept(0.2)
            if channel is not None:
                threading.Thread(target=self._back, args=(channel,), daemon=True).start()

    def _back(self, channel: paramiko.Channel) -> None:
        while data := channel.recv(1 << 16):
            channel.sendall(data)
        channel.close()

    def close(self) -> None:
        self._listener.close()
        for transport in self.transports:
            transport.close()


def write_key(path: Path) -> paramiko.PKey:
    path.parent.mkdir(exist_ok=True)
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(path))
    return key


@pytest.fixture
def host(home: Path) -> Iterator[Host]:
    made = Host(paramiko.ECDSAKey.generate(), write_key(home / ".ssh" / "id_ecdsa"))
    yield made
    made.close()


@pytest.fixture
def dial(home: Path, host: Host) -> Callable[..., SshConnection]:
    def connect(answer: bool | None = None) -> SshConnection:
        settings = read_settings(SshTarget("127.0.0.1", "me", host.port))
        contact = None if answer is None else lambda _host, _key: answer
        keys = HostKeys(home / "known", ())
        return SshConnection(open_transport(settings, keys, "desk", contact), "desk")

    return connect


def test_first_contact_then_known(host: Host, dial, home: Path) -> None:
    with pytest.raises(BoardUnreachable, match="not known yet"):
        dial()
    with pytest.raises(BoardUnreachable, match="not known yet"):
        dial(False)
    assert not (home / "known").exists()
    dial(True).close()
    dial().close()


def test_a_changed_key_is_refused_whatever_is_answered(host: Host, dial, home: Path) -> None:
    dial(True).close()
    before = (home / "known").read_text()
    host.key = paramiko.ECDSAKey.generate()
    for answer in (None, True):
        with pytest.raises(BoardUnreachable, match="CHANGED"):
            dial(answer)
    host.key = paramiko.RSAKey.generate(2048)  # another type of key is a change as well
    with pytest.raises(BoardUnreachable, match="CHANGED"):
        dial(True)
    assert (home / "known").read_text() == before


def test_nothing_secret_is_sent_before_the_host_is_known(host: Host, dial) -> None:
    with pytest.raises(BoardUnreachable):
        dial()
    assert all(transport.get_username() is None for transport in host.transports)


def test_not_let_in(host: Host, dial, home: Path) -> None:
    host.server.allowed = paramiko.ECDSAKey.generate()
    locked = home / ".ssh" / "id_rsa"
    paramiko.RSAKey.generate(1024).write_private_key_file(str(locked), password="secret")
    with pytest.raises(BoardUnreachable) as caught:
        dial(True)
    assert "id_ecdsa" in caught.value.message
    assert "needs its passphrase" in caught.value.message
    assert "ssh-copy-id" in caught.value.hint
    (home / ".ssh" / "id_ecdsa").unlink()
    locked.unlink()
    with pytest.raises(BoardUnreachable, match="no key to offer"):
        dial(True)


def test_no_ssh_server_there(home: Path) -> None:
    settings = read_settings(SshTarget("127.0.0.1", "me", 1))
    with pytest.raises(BoardUnreachable, match="cannot connect"):
        open_transport(settings, HostKeys(home / "known"), "desk")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        thread = threading.Thread(
            target=lambda: silent.accept()[0].sendall(b"HTTP/1.1 400\r\n" * 99)
        )
        thread.start()
        settings = read_settings(SshTarget("127.0.0.1", "me", silent.getsockname()[1]))
        with pytest.raises(BoardUnreachable, match="does not speak SSH"):
            open_transport(settings, HostKeys(home / "known"), "desk")
        thread.join()


def test_fast_cipher_first(host: Host, dial) -> None:
    connection = dial(True)
    assert connection._transport.remote_cipher == "aes128-gcm@openssh.com"
    connection.close()


def test_streams_to_sockets(host: Host, dial) -> None:
    """The one function that touches paramiko's private members, with the version it is for."""
    assert paramiko.__version__.startswith("5.1.")
    connection = dial(True)
    channel = open_streamlocal(connection._transport, "/run/x.sock", 5.0)
    channel.sendall(b"ping" * 100_000)
    received = b""
    while len(received) < 400_000:
        received += channel.recv(1 << 16)
    assert received == b"ping" * 100_000
    host.server.listens = False
    with pytest.raises(NothingListens):
        connection.open("/run/x.sock", "relay")
    host.transports[-1].close()
    wait_until(lambda: not connection.alive)
    with pytest.raises(BoardUnreachable, match="lost"):
        connection.open("/run/x.sock", "relay")
    connection.close()


@pytest.fixture
def tunnel(host: Host, dial, home: Path) -> Iterator[Tunnel]:
    def mend(_connection: SshConnection) -> None:
        host.server.listens = True

    dial(True).close()
    made = Tunnel(dial, "/run/x.sock", "relay", mend, home)
    made.start()
    yield made
    made.close()


def _dialled(tunnel: Tunnel) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(tunnel.address.removeprefix("unix:"))
    return client


def exchange(tunnel: Tunnel, data: bytes) -> bytes:
    with _dialled(tunnel) as client:
        client.sendall(data)
        received = b""
        while len(received) < len(data) and (part := client.recv(1 << 16)):
            received += part
        return received


def test_a_tunnel_carries_bytes(tunnel: Tunnel, home: Path) -> None:
    path = Path(tunnel.address.removeprefix("unix:"))
    assert path.stat().st_mode & 0o777 == 0o600
    data = bytes(range(256)) * 4096
    assert exchange(tunnel, data) == data
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(exchange(tunnel, data))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [data] * 4
    tunnel.close()
    assert not path.exists()


def test_a_tunnel_comes_back(tunnel: Tunnel, host: Host) -> None:
    assert exchange(tunnel, b"one") == b"one"
    for transport in host.transports:
        transport.close()
    wait_until(lambda: not tunnel.alive)
    assert exchange(tunnel, b"two") == b"two"  # made again by whoever asks next
    assert tunnel.alive
    host.server.listens = False
    assert exchange(tunnel, b"three") == b"three"  # the agent was started
    host.key = paramiko.ECDSAKey.generate()
    for transport in host.transports:
        transport.close()
    wait_until(lambda: not tunnel.alive)
    with contextlib.suppress(ConnectionResetError):
        assert exchange(tunnel, b"four") == b""  # somebody else answers there now
    with pytest.raises(BoardUnreachable, match="CHANGED"):
        tunnel.recover()


def test_one_stream_too_many_is_refused(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel_module, "_MAX_STREAMS", 2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_dialled(tunnel)) for _ in range(2)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        with _dialled(tunnel) as refused:
            assert refused.recv(1) == b""
        for client in clients:
            client.sendall(b"y")
            assert client.recv(1) == b"y"
    wait_until(lambda: not tunnel._streams)
    assert exchange(tunnel, b"again") == b"again"


def test_a_closed_tunnel_dials_no_more(tunnel: Tunnel, host: Host) -> None:
    tunnel.close()
    dialled = len(host.transports)
    for use in (tunnel.recover, tunnel.connection):
        with pytest.raises(BoardUnreachable, match="closed"):
            use()
    assert len(host.transports) == dialled
    assert not tunnel.alive


def test_a_tunnel_that_is_closed_while_it_dials_leaves_no_connection(
    host: Host, dial, home: Path
) -> None:
    dial(True).close()
    dialled, go = threading.Event(), threading.Event()

    def slow() -> SshConnection:
        connection = dial()
        dialled.set()
        assert go.wait(20)
        return connection

    tunnel = Tunnel(slow, "/run/x.sock", "relay", lambda _: None, home)
    refused: list[BoardUnreachable] = []

    def recover() -> None:
        try:
            tunnel.recover()
        except BoardUnreachable as error:
            refused.append(error)

    thread = threading.Thread(target=recover)
    thread.start()
    assert dialled.wait(20)
    tunnel.close()
    go.set()
    thread.join(20)
    assert len(refused) == 1
    wait_until(lambda: not any(transport.is_active() for transport in host.transports))


def test_the_proxy_command_leaves_no_zombie(home: Path) -> None:
    mark = home / "proxy"
    settings = replace(
        read_settings(SshTarget("desk", "me")), proxy_command=f"sh -c 'echo $$ > {mark}'"
    )
    with pytest.raises(BoardUnreachable, match="does not speak SSH"):
        open_transport(settings, HostKeys(home / "known", ()), "desk")
    process = int(mark.read_text())
    wait_until(lambda: not Path(f"/proc/{process}").exists())


def test_sockets_of_killed_programs_are_removed(host: Host, dial, home: Path) -> None:
    left = home / "4194305-abcd.sock"  # beyond the largest process number
    left.touch()
    tunnel = Tunnel(dial, "/run/x.sock", "relay", lambda _: None, home)
    assert not left.exists()
    tunnel.close()


def test_a_proxy_command_that_has_ended_is_no_zombie() -> None:
    """The kernel is asked: a child that nobody has waited for is listed as a zombie."""
    before = set(psutil.Process().children())
    with contextlib.closing(connect._proxy("echo hello")) as end:
        assert end.recv(100) == b"hello\n"
        assert end.recv(100) == b""  # it has ended
    wait_until(lambda: set(psutil.Process().children()) <= before, 30)
