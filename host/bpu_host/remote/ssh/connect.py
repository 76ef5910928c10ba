"""Reaching and entering a host: proxy, host key, the user's keys."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import paramiko
from paramiko.pkey import PublicBlob, UnknownKeyType

from bpu_common.environment import SSH_AGENT
from bpu_common.errors import BoardUnreachable
from bpu_host.remote.ssh.config import SshSettings
from bpu_host.remote.ssh.hostkeys import HostKey, HostKeys, Verdict, refusal

logger = logging.getLogger(__name__)

FirstContact: TypeAlias = Callable[[str, HostKey], bool]
"""Asked about a key that is not known: (host, key) -> trust it."""

_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # 1.2 to 1.3 times as fast as ctr
_KEEPALIVE_S = 5
_LOST_AFTER_MS = 10_000
_MAX_KEYS = 5  # a server ends the login at its sixth try


def open_transport(
    settings: SshSettings, keys: HostKeys, board: str, first_contact: FirstContact | None = None
) -> paramiko.Transport:
    """Connect, see that the host is the right one, log in.

    Args:
        board: the name for messages.
        first_contact: without it an unknown key is refused.

    Raises:
        BoardUnreachable: says which of the three failed and what to do.
    """
    transport = _start(_dial(settings), settings, keys)
    try:
        _check_host(_key_of(transport, settings), settings, keys, board, first_contact)
        _log_in(transport, settings)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(_KEEPALIVE_S)
    return transport


def verify_host(
    settings: SshSettings, keys: HostKeys, board: str, first_contact: FirstContact | None = None
) -> None:
    """See that the host is the right one, without logging in. Raises as `open_transport`."""
    _check_host(shown_key(settings, keys), settings, keys, board, first_contact)


def shown_key(settings: SshSettings, keys: HostKeys) -> HostKey:
    """The key that the host shows, unchecked.

    Raises:
        BoardUnreachable: no SSH server answers.
    """
    transport = _start(_dial(settings), settings, keys)
    try:
        return _key_of(transport, settings)
    finally:
        transport.close()


def _key_of(transport: paramiko.Transport, settings: SshSettings) -> HostKey:
    try:
        key = transport.get_remote_server_key()
    except paramiko.SSHException as error:  # the connection ended in the meantime
        raise _no_ssh(settings, error) from None
    return HostKey(key.get_name(), key.asbytes())


def _dial(settings: SshSettings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    if settings.proxy_command:
        return _proxy(settings.proxy_command)
    try:
        connection = socket.create_connection(
            (settings.host, settings.port), timeout=settings.timeout_s
        )
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise BoardUnreachable(
            f"cannot connect: {reason}",
            where=where,
            hint="is the board on and its address right? `ssh` must reach it too",
        ) from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # With the keepalive messages: a board that vanished is noticed although nothing is sent to it.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LOST_AFTER_MS)
    return connection


def _proxy(command: str) -> socket.socket:
    """A socket whose other end is the input and output of a command.

    The command ends with the socket. A thread waits for that: a child that nobody waits for stays a
    zombie as long as this process lives, and a daemon dials for weeks.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            start_new_session=True,
        )
    # It ends with the connection, whoever closes that; a thread takes its exit status.
    threading.Thread(target=child.wait, name="proxy", daemon=True).start()
    return ours


def _start(connection: socket.socket, settings: SshSettings, keys: HostKeys) -> paramiko.Transport:
    try:
        transport = paramiko.Transport(connection)
    except paramiko.SSHException as error:
        connection.close()
        raise _no_ssh(settings, error) from None
    options = transport.get_security_options()
    options.ciphers = _first(_CIPHERS, options.ciphers)
    known = keys.kinds(settings.known_as)
    if "ssh-rsa" in known:  # the type of the key; these are the ways it signs
        known += ("rsa-sha2-512", "rsa-sha2-256")
    options.key_types = _first(known, options.key_types)
    transport.banner_timeout = settings.timeout_s
    try:
        transport.start_client(timeout=settings.timeout_s)
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise _no_ssh(settings, error) from None
    return transport


def _first(wanted: tuple[str, ...], offered: Sequence[str]) -> tuple[str, ...]:
    best = tuple(each for each in wanted if each in offered)
    return (*best, *(each for each in offered if each not in best))


def _no_ssh(settings: SshSettings, error: Exception) -> BoardUnreachable:
    return BoardUnreachable(
        f"what answers does not speak SSH as expected: {error}",
        where=f"{settings.host}:{settings.port}",
        hint="check the port; behind a proxy, check that `ssh` reaches the board",
    )


def _check_host(
    key: HostKey,
    settings: SshSettings,
    keys: HostKeys,
    board: str,
    first_contact: FirstContact | None,
) -> None:
    name = settings.known_as
    verdict, path = keys.check(name, key)
    if verdict is Verdict.KNOWN:
        return
    if verdict is Verdict.UNKNOWN and first_contact is not None and first_contact(name, key):
        keys.trust(name, key)
        return
    raise refusal(name, key, verdict, path, board)


def _log_in(transport: paramiko.Transport, settings: SshSettings) -> None:
    with contextlib.suppress(paramiko.SSHException):
        transport.auth_none(settings.user)
    tried: list[str] = []
    skipped: list[str] = []
    for label, key in _offered(settings, skipped):
        if transport.is_authenticated() or len(tried) == _MAX_KEYS:
            break
        tried.append(label)
        try:
            transport.auth_publickey(settings.user, key)
        except (paramiko.SSHException, EOFError, OSError) as error:
            logger.debug("%s is not accepted: %s", label, error)
            if not transport.is_active():
                break
    if not transport.is_authenticated():
        raise _not_let_in(settings, tried, skipped)


def _not_let_in(settings: SshSettings, tried: list[str], skipped: list[str]) -> BoardUnreachable:
    offered = f"offered: {', '.join(tried)}" if tried else "there is no key to offer"
    left_out = f"; left out: {', '.join(skipped)}" if skipped else ""
    address = f"{settings.user}@{settings.host}"
    port = f"-p {settings.port} " if settings.port != 22 else ""
    return BoardUnreachable(
        f"the host does not let {settings.user} in ({offered}{left_out})",
        where=f"{settings.host}:{settings.port}",
        hint=f"give the board your key: `ssh-copy-id {port}{address}`; a key with a passphrase "
        "goes into the agent with `ssh-add`",
    )


def _offered(settings: SshSettings, skipped: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Keys in the order in which ssh offers them: the agent's, then those in files."""
    held = {}
    if settings.agent and SSH_AGENT.value:
        with contextlib.suppress(paramiko.SSHException, OSError):
            held = {key.asbytes(): key for key in paramiko.Agent().get_keys()}
    files = {path: _public_blob(path) for path in settings.identity_files}
    chosen = set(files.values())
    for blob, key in sorted(held.items(), key=lambda item: item[0] not in chosen):
        if blob in chosen or not settings.identities_only:
            yield f"agent's {key.get_name()}", key
    for path, blob in files.items():
        if blob in held or not path.is_file():
            continue
        try:
            yield str(path), paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError):  # the latter for old formats
            skipped.append(f"{path} (needs its passphrase)")
        except (paramiko.SSHException, UnknownKeyType, OSError, ValueError) as error:
            skipped.append(f"{path} ({error or type(error).__name__})")


def _public_blob(path: Path) -> bytes:
    """The public key beside a private one; b"" if there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError, paramiko.SSHException):
        return bytes(PublicBlob.from_file(f"{path}.pub").key_blob)
    return b""
