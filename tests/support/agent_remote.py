"""A real agent in a process of its own, on a unix socket or loopback."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

_START_S = 60


class Agent:
    """Started by `with`, or by `start` after a `kill`; the store outlives both.

    Args:
        listen: another address than a unix socket of its own.
    """

    def __init__(self, folder: Path, *options: str, listen: str = "") -> None:
        # Socket paths are short by nature (107 bytes); pytest's folders are not.
        self._sockets = tempfile.TemporaryDirectory(prefix="bpu")
        self.socket = Path(self._sockets.name) / "agent.sock"
        self.address = listen or f"unix:{self.socket}"
        self.store = folder / "store"
        self.log = folder / "agent.log"
        # What is tested should be over soon: time passes as fast as it can, unless a test says so.
        self.options = options if "--clock" in options else (*options, "--clock", "virtual")
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run the agent until it says that it listens."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "bpu_board.cli.agent",
                    "--listen", self.address, "--store", str(self.store), *self.options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_S)
        line = self.process.stdout.readline() if ready else ""
        assert line.startswith("bpu-agent:"), f"{line!r}\n{self.log.read_text()}"
        self.address = line.partition(" on ")[2].partition(", store")[0]  # with its real port

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process = self.process
        if process is None:
            return 0
        process.send_signal(number)
        status = process.wait(_START_S)
        assert process.stdout is not None
        process.stdout.close()
        self.process = None
        return status

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._sockets.cleanup()


def wait_until(condition: object, seconds: float = 20) -> None:
    """Poll a function until it gives something true; fail instead of hanging."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
