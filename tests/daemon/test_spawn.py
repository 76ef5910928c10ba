"""The daemon's process as the one that started it sees it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bpu_host.daemon.spawn import spawn
from tests.support.agent_remote import wait_until
from tests.support.daemon_home import Home


def test_a_killed_daemon_leaves_no_zombie(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Home(monkeypatch)) as home:
        record = spawn(home.files)
        home.kill()
        wait_until(lambda: not Path(f"/proc/{record.process_id}").exists())
