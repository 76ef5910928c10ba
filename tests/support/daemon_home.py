"""A user of their own for the daemon: empty folders, so that no real daemon is met."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.daemon.files import DaemonFiles, is_locked, read_record

COMMAND_S = 60


class Home:
    """Folders in the environment of the test (and of what it starts) until `close`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        # Socket paths are short by nature (107 bytes); pytest's folders are not.
        self.folder = Path(tempfile.mkdtemp(prefix="bpud"))
        for name in ("CONFIG_HOME", "CACHE_HOME", "STATE_HOME", "RUNTIME_DIR"):
            (self.folder / name).mkdir()
            patch.setenv(f"XDG_{name}", str(self.folder / name))
        self.files = DaemonFiles.of_user()
        self.inventory = Inventory()

    def add(self, name: str, address: str) -> None:
        """Put a board on this machine into the inventory."""
        self.inventory.put(BoardEntry(name, "localhost", address=address))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `bpud` or `bpu` to its end."""
        return subprocess.run(
            [sys.executable, "-m", f"bpu_host.cli.{program}", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def start(self) -> int:
        """Start the daemon; returns its process id."""
        done = self.run("bpud", "start", "--json")
        assert done.returncode == 0, done.stderr
        number = json.loads(done.stdout)["process_id"]
        assert isinstance(number, int)
        return number

    def kill(self) -> None:
        """kill -9, if it runs."""
        record = read_record(self.files.record)
        if record is not None and is_locked(self.files.lock):
            os.kill(record.process_id, signal.SIGKILL)
            while is_locked(self.files.lock):
                pass

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
