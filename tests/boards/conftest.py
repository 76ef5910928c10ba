"""Every test has a home of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bpu") as folder:  # short: sockets lie in it
        monkeypatch.setenv("HOME", folder)
        for name in ("CONFIG", "CACHE", "STATE"):
            monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield Path(folder)
