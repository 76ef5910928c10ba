"""`bpu boards doctor`: every link from here to the agent, one after the other."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bpu_common import __version__
from bpu_common.device_kind import device_words, late_words
from bpu_common.engine import engine_line
from bpu_common.errors import BpuError
from bpu_common.json_form import parse_json
from bpu_host.boards import access
from bpu_host.boards.install import current
from bpu_host.boards.inventory import BoardEntry
from bpu_host.boards.probe import probe
from bpu_host.boards.routes import open_entry
from bpu_host.boards.wheel import board_wheel
from bpu_host.remote.board import Board
from bpu_host.remote.ssh import Connection, Verdict, shown_key

_LOG_LINES = 5

_MODES = """\
import json, os, stat, sys
root = sys.argv[1]
found = []
for path, wanted in ((root, 0o700), (root + "/run", 0o700), (root + "/run/agent.sock", 0o600)):
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        found.append([path, error.strerror])
        continue
    if mode != wanted:
        found.append([path, "mode %o instead of %o" % (mode, wanted)])
try:
    with open(root + "/log/agent.log", errors="replace") as file:
        log = file.read()[-4000:].splitlines()
except OSError:
    log = []
print(json.dumps({"modes": found, "log": log}))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `fix` is "" if it is good."""

    what: str
    good: bool
    found: str
    fix: str = ""


def examine(entry: BoardEntry) -> Iterator[Finding]:
    """Look at one link after the other; what depends on a broken one is left out."""
    if entry.address:
        yield from _agent(entry)
        return
    try:
        yield from _host(entry)
        connection = access.connect(entry)
    except BpuError as error:
        yield Finding("ssh", False, error.message, error.hint)
        return
    yield Finding("ssh", True, f"logged in at {entry.target} ({entry.transport})")
    try:
        yield from _board(connection, entry)
    finally:
        connection.close()
    yield from _agent(entry)


def _host(entry: BoardEntry) -> Iterator[Finding]:
    settings = access.settings_of(entry)
    keys = access.host_keys(settings)
    way = f" through `{settings.proxy_command}`" if settings.proxy_command else ""
    yield Finding("address", True, f"{settings.user}@{settings.host}:{settings.port}{way}")
    key = shown_key(settings, keys)
    verdict, path = keys.check(settings.known_as, key)
    if verdict is Verdict.KNOWN:
        yield Finding("host key", True, f"{key.kind} {key.fingerprint}, as in {path}")


def _board(connection: Connection, entry: BoardEntry) -> Iterator[Finding]:
    try:
        facts = probe(connection, entry)
    except BpuError as error:
        yield Finding("board", False, error.message, error.hint)
        return
    free = f"{facts.free_bytes >> 20} MB free"
    yield Finding("board", True, f"{facts.system}, {facts.machine}, {facts.python}, {free}")
    again = f"`bpu boards upgrade {entry.name}`"
    found = current(connection, entry.folder)
    environment = str(found.get("environment", ""))
    if not environment:
        yield Finding("installation", False, f"nothing in {entry.folder}", again)
        return
    if (
        environment in found.get("complete", ())
        and board_wheel(facts.machine).digest[:12] in environment
    ):
        yield Finding("installation", True, f"this version, {entry.folder}/{environment}")
    else:
        yield Finding("installation", False, f"another version than {__version__} here", again)
    kept = f"kept by {found.get('kind')}, options {' '.join(found.get('options', ())) or 'none'}"
    yield Finding(
        "service",
        bool(found.get("running")) and bool(found.get("answers")),
        kept + ("" if found.get("running") else ", does not run"),
        f"any `bpu` call starts it, as `bpu models --board {entry.name}`",
    )
    words = shlex.join([facts.python, "-c", _MODES, entry.folder])
    done = connection.run(words)
    looked: dict[str, Any] = {"modes": [["?", done.err]], "log": []}
    if done.status == 0:
        looked = parse_json(done.out)
    wrong = ", ".join(f"{path}: {why}" for path, why in looked["modes"])
    yield Finding("permissions", not wrong, wrong or "only you can reach the agent", again)
    log = " | ".join(looked["log"][-_LOG_LINES:])
    yield Finding("log", True, log or "empty")


def _agent(entry: BoardEntry) -> Iterator[Finding]:
    try:
        route = open_entry(entry)
        try:
            with Board.connect(route.address) as board:
                board.info()
                start_s = time.perf_counter()
                info = board.info()
                took_ms = (time.perf_counter() - start_s) * 1e3
        finally:
            route.close()
    except BpuError as error:
        yield Finding("agent", False, error.message, error.hint)
        return
    yield Finding(
        "agent",
        True,
        f"{info.machine}, {device_words(info.device, info.clock)}, version {info.version}, "
        f"round trip {took_ms:.2f} ms",
    )
    if info.late_ns:
        yield Finding("clock", True, late_words(info.late_ns))
    if info.engine.name:
        yield Finding("engine", True, engine_line(info.engine))
