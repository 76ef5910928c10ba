"""The boards that a user has: a JSON file in the configuration folder, 0600, replaced whole."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bpu_common.errors import InputError, UsageError
from bpu_common.files import write_atomic
from bpu_common.json_form import parse_json
from bpu_host.boards.places import config_folder

FILE_NAME = "boards.json"
DEFAULT_FOLDER = ".openbpu"
TRANSPORTS = ("paramiko", "openssh")

_VERSION = 1
_MAX_CHARS = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class BoardEntry:
    """How a board is reached. User "" and port 0 mean: as the ssh configuration says.

    Attributes:
        name: what the user calls it.
        host: address, or a host alias of the ssh configuration.
        folder: of the installation on the board, absolute or in the home folder there.
        python: interpreter to use on the board; "" finds one.
        transport: "paramiko", or "openssh" to use the system's ssh program.
        address: unix:PATH or HOST:PORT of an agent on this machine, dialled as it is; "" is the
            usual case, an agent behind SSH.
    """

    name: str
    host: str
    user: str = ""
    port: int = 0
    folder: str = DEFAULT_FOLDER
    python: str = ""
    transport: str = "paramiko"
    address: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.transport not in TRANSPORTS:
            raise UsageError(f"transport {self.transport!r} is not one of {', '.join(TRANSPORTS)}")
        if not (self.host or self.address):
            raise UsageError(f"board {self.name!r} has neither a host nor an address")
        if not 0 <= self.port < 1 << 16:
            raise UsageError(f"board {self.name!r} has port {self.port}, ports end at 65535")

    @property
    def target(self) -> str:
        """user@host:port, as far as they are given; or the address of a local agent."""
        if self.address:
            return self.address
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}" + (f":{self.port}" if self.port else "")


def check_name(name: str) -> None:
    """Refuse what is not the name of a board.

    Raises:
        UsageError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a board",
            hint="letters, digits, '.', '_' and '-', at most 63, beginning with a letter or digit",
        )


class Inventory:
    """The file. Every method reads it anew; changes exclude those of other programs."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path if path is not None else config_folder() / FILE_NAME

    def entries(self) -> tuple[BoardEntry, ...]:
        """All boards, by name.

        Raises:
            UsageError: the file is damaged.
        """
        return tuple(entry for _, entry in sorted(self._read().items()))

    def get(self, name: str) -> BoardEntry:
        """The board of a name.

        Raises:
            UsageError: there is none.
        """
        found = self._read()
        if name not in found:
            raise self._unknown(name, found)
        return found[name]

    def find(self, name: str) -> BoardEntry | None:
        """The board of a name, or None."""
        return self._read().get(name)

    def put(self, entry: BoardEntry) -> None:
        """Add a board, or replace the one of its name."""
        with self._changing() as found:
            found[entry.name] = entry

    def remove(self, name: str) -> None:
        """Forget a board.

        Raises:
            UsageError: there is none of this name.
        """
        with self._changing() as found:
            if name not in found:
                raise self._unknown(name, found)
            del found[name]

    def _read(self) -> dict[str, BoardEntry]:
        try:
            with self.path.open(encoding="utf-8") as file:
                text = file.read(_MAX_CHARS + 1)
            if len(text) > _MAX_CHARS:
                raise InputError(f"more than {_MAX_CHARS} characters")
            content = parse_json(text)
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']} is not {_VERSION}")
            return {item["name"]: _entry(item) for item in content["boards"]}
        except FileNotFoundError:
            return {}
        except (InputError, OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the inventory cannot be read: {error}",
                where=str(self.path),
                hint="mend the file, or move it away and add the boards again",
            ) from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, BoardEntry]]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self._read()
            yield found
            boards = [asdict(found[name]) for name in sorted(found)]
            content = {"version": _VERSION, "boards": boards}
            write_atomic(self.path, json.dumps(content, indent=1) + "\n")
            self.path.chmod(0o600)
        finally:
            os.close(lock)

    def _unknown(self, name: str, found: dict[str, BoardEntry]) -> UsageError:
        near = difflib.get_close_matches(name, found, 1)
        if near:
            hint = f"did you mean {near[0]}?"
        elif found:
            hint = f"there are {', '.join(sorted(found))}"
        else:
            hint = f"add it: `bpu boards add {name} USER@HOST`"
        if name.startswith("unix:"):
            hint = f"an agent needs no inventory: `bpu top --once --board {name}` shows its state"
        return UsageError(f"no board {name!r} in the inventory", hint=hint)


def _entry(item: dict[str, object]) -> BoardEntry:
    known = {field.name for field in fields(BoardEntry)}
    if unknown := set(item) - known:
        raise ValueError(f"unknown key {min(unknown)!r}")
    for key, value in item.items():
        wanted = int if key == "port" else str
        if type(value) is not wanted:
            raise ValueError(f"{key} of a board is not {wanted.__name__}")
    return BoardEntry(**item)  # type: ignore[arg-type]  # checked above
