"""Which host keys are trusted: our own file, and the user's files for hosts that are not in it.

A key is never taken on its own: somebody has compared its fingerprint, or the user's ssh knows it.
"""

from __future__ import annotations

import base64
import enum
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bpu_common.errors import BoardUnreachable, UsageError
from bpu_common.files import write_atomic

_PREFIX = "SHA256:"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key that a host shows: its type and its blob."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return _PREFIX + digest.rstrip("=")


class Verdict(enum.Enum):
    """What the files say about a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


class HostKeys:
    """Our file of known hosts, in the form of OpenSSH, with the user's files behind it.

    Args:
        own: the file that is written.
        others: files that are only read.
    """

    def __init__(self, own: Path, others: Iterable[Path] = ()) -> None:
        self.own = own
        self.others = tuple(others)

    def check(self, name: str, key: HostKey) -> tuple[Verdict, Path]:
        """What is known about a host's key, and the file that says so."""
        for path in (self.own, *self.others):
            found = list(_entries(path, name))
            if any(marker == "@revoked" and each == key for marker, each in found):
                return Verdict.REVOKED, path
            plain = [each for marker, each in found if not marker]
            if key in plain:
                return Verdict.KNOWN, path
            if plain:
                return Verdict.CHANGED, path
        return Verdict.UNKNOWN, self.own

    def kinds(self, name: str) -> tuple[str, ...]:
        """Types of the keys that are known of a host: to be asked for first."""
        for path in (self.own, *self.others):
            kinds = [each.kind for marker, each in _entries(path, name) if not marker]
            if kinds:
                return tuple(dict.fromkeys(kinds))
        return ()

    def trust(self, name: str, key: HostKey) -> None:
        """Write a key into our file, in place of those that it has for this host."""
        line = f"{name} {key.kind} {base64.b64encode(key.blob).decode()}"
        self._rewrite(name, (line,))

    def forget(self, name: str) -> None:
        """Remove a host from our file."""
        self._rewrite(name, ())

    def _rewrite(self, name: str, added: tuple[str, ...]) -> None:
        lock = os.open(f"{self.own}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [line for line in _lines(self.own) if not _concerns(line, name)]
            text = "".join(f"{line}\n" for line in (*kept, *added))
            if text or self.own.exists():
                write_atomic(self.own, text)
                self.own.chmod(0o600)
        finally:
            os.close(lock)


def check_fingerprint(text: str) -> str:
    """A fingerprint as `ssh-keygen -l` prints it, without padding.

    Raises:
        UsageError: it is not one.
    """
    try:
        digest = base64.b64decode(text.removeprefix(_PREFIX) + "=", validate=True)
    except ValueError:
        digest = b""
    if not text.startswith(_PREFIX) or len(digest) != hashlib.sha256().digest_size:
        raise UsageError(
            f"{text!r} is not a fingerprint",
            hint="it looks like SHA256:... with 43 characters; on the board: "
            "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`",
        )
    return text.rstrip("=")


def refusal(name: str, key: HostKey, verdict: Verdict, path: Path, board: str) -> BoardUnreachable:
    """The error of a connection that is refused because of the host's key."""
    if verdict is Verdict.REVOKED:
        return BoardUnreachable(
            f"the host shows a revoked key ({key.kind} {key.fingerprint})", where=f"{name}, {path}"
        )
    if verdict is Verdict.UNKNOWN:
        return BoardUnreachable(
            f"the host's key is not known yet ({key.kind} {key.fingerprint})",
            where=name,
            hint=f"compare it with the board's and trust it: `bpu boards add {board} USER@HOST`",
        )
    return BoardUnreachable(
        f"THE HOST'S KEY HAS CHANGED: it now shows {key.kind} {key.fingerprint}, which is not the "
        "key that is known. Nothing was sent. Either the board was set up anew, or somebody else "
        "answers in its place",
        where=f"{name}, {path}",
        hint="on the board, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows its key; only "
        f"if it is the one above: `bpu boards trust {board} --fingerprint {key.fingerprint}`",
    )


def _entries(path: Path, name: str) -> Iterator[tuple[str, HostKey]]:
    """(marker or "", key) of each line about a host."""
    for line in _lines(path):
        if not _concerns(line, name):
            continue
        fields = line.split()
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        try:
            yield marker, HostKey(fields[1], base64.b64decode(fields[2], validate=True))
        except (IndexError, ValueError):
            continue


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]


def _concerns(line: str, name: str) -> bool:
    fields = line.split()
    if fields and fields[0].startswith("@"):
        fields.pop(0)
    return bool(fields) and any(_matches(each, name) for each in fields[0].split(","))


def _matches(pattern: str, name: str) -> bool:
    """A name of a line is the host's, in clear or hashed (|1|salt|hash)."""
    if not pattern.startswith("|1|"):
        return pattern == name
    try:
        salt, digest = (base64.b64decode(part) for part in pattern.split("|")[2:4])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)
