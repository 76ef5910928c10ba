"""A host key that nobody knows: a person at a terminal or a fingerprint decides, never a pipe."""

from __future__ import annotations

import sys

import click
import pytest

from bpu_common.errors import UsageError
from bpu_host.cli.bpu_boards import _first_contact
from bpu_host.remote.ssh import HostKey

KEY = HostKey("ssh-ed25519", b"blob")


class Input:
    """Standard input with an answer in it."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def answering(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Input(terminal))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: True)


def test_yes_out_of_a_pipe_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, terminal=False)
    with pytest.raises(UsageError, match="nobody can be asked") as caught:
        _first_contact("desk", None)("board", KEY)
    assert f"--fingerprint {KEY.fingerprint}" in caught.value.hint


def test_a_person_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, terminal=True)
    assert _first_contact("desk", None)("board", KEY)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_fingerprint_needs_nobody(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    answering(monkeypatch, terminal=terminal)
    assert _first_contact("desk", KEY.fingerprint)("board", KEY)
    with pytest.raises(UsageError, match="another key"):
        _first_contact("desk", KEY.fingerprint)("board", HostKey("ssh-ed25519", b"other"))
