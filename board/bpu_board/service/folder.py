"""The one folder of an installed agent: where things lie, and how the agent is started."""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bpu_common.errors import InputError, UsageError
from bpu_common.files import write_atomic, writing
from bpu_common.json_form import parse_json

_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the agent of a folder is kept running.

    Attributes:
        kind: "supervisor", "systemd" (of the system) or "systemd-user".
        options: of `bpu-agent`, beyond --listen and --store.
        plain: the user chose the supervisor alone.
        lingers: this installation made the user's systemd outlive its logins.
    """

    kind: str = "supervisor"
    options: tuple[str, ...] = ()
    plain: bool = False
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths in the folder. The folder and everything in it belong to one user (0700, 0600)."""

    root: Path

    @property
    def socket(self) -> Path:
        """Where the agent listens."""
        return self.root / "run" / "agent.sock"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives; says what it runs, as JSON."""
        return self.root / "run" / "supervisor.lock"

    @property
    def log(self) -> Path:
        """What the agent wrote; the file before it has the suffix .1."""
        return self.root / "log" / "agent.log"

    @property
    def models(self) -> Path:
        """The agent's store."""
        return self.root / "models"

    @property
    def settings_file(self) -> Path:
        """The `Settings`, as JSON."""
        return self.root / "service.json"

    def make(self) -> None:
        """Create what is missing.

        Raises:
            UsageError, CapacityError: it cannot be created.
        """
        with writing(self.root):
            for path in (self.root, self.socket.parent, self.log.parent, self.models):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.chmod(0o700)

    def read(self) -> Settings:
        """The settings; the defaults where nothing is written.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            found = parse_json(self.settings_file.read_text())
            return Settings(
                str(found["kind"]),
                tuple(map(str, found["options"])),
                bool(found["plain"]),
                bool(found["lingers"]),
            )
        except FileNotFoundError:
            return Settings()
        except (InputError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"cannot read the settings: {error}",
                where=str(self.settings_file),
                hint="install the agent again: `bpu boards upgrade NAME`",
            ) from None

    def write(self, settings: Settings) -> None:
        """Replace the settings."""
        write_atomic(self.settings_file, json.dumps(asdict(settings), indent=1) + "\n")

    def agent_command(self) -> tuple[str, ...]:
        """The command that runs the agent in the foreground."""
        return (
            *(sys.executable, "-m", "bpu_board.cli.agent"),
            *("--listen", f"unix:{self.socket}", "--store", str(self.models)),
            *self.read().options,
        )

    def supervisor_command(self) -> tuple[str, ...]:
        """The command that supervises the agent in the foreground."""
        module = "bpu_board.cli.supervise"
        return (sys.executable, "-m", module, "run", "--folder", str(self.root))

    def answers(self) -> bool:
        """Something accepts connections on the socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PROBE_TIMEOUT_S)
            try:
                probe.connect(os.fspath(self.socket))
            except OSError:
                return False
        return True

    def last_lines(self, count: int = 5) -> str:
        """The end of the agent's log, on one line."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return " | ".join(line.strip() for line in lines[-count:])
