"""Which host keys are trusted, against files as OpenSSH writes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.errors import UsageError
from bpu_host.remote.ssh import HostKey, HostKeys, Verdict
from bpu_host.remote.ssh.hostkeys import check_fingerprint, refusal

ONE, TWO = HostKey("ssh-ed25519", b"one"), HostKey("ssh-ed25519", b"two")
RSA = HostKey("ssh-rsa", b"rsa")


def line(name: str, key: HostKey) -> str:
    return f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.fixture
def keys(home: Path) -> HostKeys:
    return HostKeys(home / "own", (home / "user",))


def test_nothing_is_known_at_first(keys: HostKeys) -> None:
    assert keys.check("h", ONE)[0] is Verdict.UNKNOWN
    assert keys.kinds("h") == ()
    assert not keys.own.exists()


def test_trusted_then_changed_then_forgotten(keys: HostKeys) -> None:
    keys.trust("h", ONE)
    keys.trust("other", TWO)
    assert stat.S_IMODE(keys.own.stat().st_mode) == 0o600
    assert keys.check("h", ONE) == (Verdict.KNOWN, keys.own)
    assert keys.check("h", TWO) == (Verdict.CHANGED, keys.own)
    assert keys.check("h", RSA)[0] is Verdict.CHANGED  # another type is not a way around
    keys.trust("h", TWO)
    assert keys.check("h", ONE)[0] is Verdict.CHANGED
    keys.forget("h")
    assert keys.check("h", TWO)[0] is Verdict.UNKNOWN
    assert keys.check("other", TWO)[0] is Verdict.KNOWN


@pytest.mark.parametrize("name", ["h", "[h]:2222"])
def test_the_users_file_counts_where_ours_is_silent(keys: HostKeys, home: Path, name: str) -> None:
    text = f"# a comment\nbroken\n@cert-authority {line('*', TWO)}"
    (home / "user").write_text(text + line(f"a,{name},b", ONE) + line(hashed("secret"), RSA))
    assert keys.check(name, ONE) == (Verdict.KNOWN, home / "user")
    assert keys.check(name, TWO)[0] is Verdict.CHANGED
    assert keys.check("secret", RSA)[0] is Verdict.KNOWN
    assert keys.check("public", RSA)[0] is Verdict.UNKNOWN
    assert keys.kinds("secret") == ("ssh-rsa",)
    keys.trust(name, TWO)  # ours comes first, whatever the user's ssh believes
    assert keys.check(name, ONE)[0] is Verdict.CHANGED
    assert (home / "user").read_text().startswith(text)


def test_revoked(keys: HostKeys, home: Path) -> None:
    (home / "user").write_text("@revoked " + line("h", ONE) + line("h", ONE))
    assert keys.check("h", ONE)[0] is Verdict.REVOKED


def test_fingerprint_is_that_of_openssh() -> None:
    text = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    key = HostKey("ssh-ed25519", base64.b64decode(text))  # that of a public code host
    assert key.fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert check_fingerprint(key.fingerprint) == key.fingerprint


@given(st.binary(min_size=1, max_size=64))
def test_fingerprints_are_read(blob: bytes) -> None:
    fingerprint = HostKey("x", blob).fingerprint
    assert check_fingerprint(fingerprint) == fingerprint


@pytest.mark.parametrize("text", ["", "SHA256:", "SHA256:abc", "MD5:00:11", "SHA256:" + "!" * 43])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(UsageError):
        check_fingerprint(text)


def test_refusals_say_what_to_do(home: Path) -> None:
    changed = refusal("h", ONE, Verdict.CHANGED, home / "own", "desk")
    assert ONE.fingerprint in changed.message
    assert f"bpu boards trust desk --fingerprint {ONE.fingerprint}" in changed.hint
    unknown = refusal("h", ONE, Verdict.UNKNOWN, home / "own", "desk")
    assert "bpu boards add desk" in unknown.hint
