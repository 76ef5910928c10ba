"""What a bare board has, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bpu_common.errors import BpuError, InputError, UsageError
from bpu_common.json_form import parse_json
from bpu_host.boards.inventory import BoardEntry
from bpu_host.boards.wheel import PYTHON
from bpu_host.remote.ssh import Connection

ARCHITECTURES = ("aarch64", "x86_64")
"""Those for which the board's requirements exist as wheels."""

NEEDED_BYTES = 700 << 20
"""Two environments beside each other during an upgrade, and the wheels."""

_OLDEST_LIBC = (2, 17)
_MAX_SOCKET_PATH = 107

_FACTS = """\
import json, os, platform, shutil, sys
try:
    import venv, ctypes, fcntl, zlib, ssl
    missing = ""
except ImportError as error:
    missing = str(error)
home = os.path.expanduser("~")
print(json.dumps({"version": sys.version_info[:3], "machine": platform.machine(),
    "libc": platform.libc_ver(sys.executable), "free": shutil.disk_usage(home).free,
    "missing": missing, "home": home, "bits": sys.maxsize > 2**32, "path": sys.executable,
    "system": sys.platform, "implementation": platform.python_implementation()}))
"""

_SCRIPT = """\
for each in {candidates}; do
  command -v "$each" >/dev/null 2>&1 || continue
  printf 'python '; "$each" -c '{facts}' || echo
done
[ -r /etc/os-release ] && . /etc/os-release && printf 'system %s\\n' "$PRETTY_NAME"
exit 0
"""

_CANDIDATES = ("python3", *(f"python3.{minor}" for minor in range(19, PYTHON[1] - 1, -1)))


@dataclass(frozen=True, slots=True)
class Facts:
    """A board that can run the agent.

    Attributes:
        python: absolute path of the interpreter.
        libc: of glibc, (major, minor).
        folder: absolute path of the installation.
    """

    python: str
    version: tuple[int, int]
    machine: str
    libc: tuple[int, int]
    free_bytes: int
    folder: str
    system: str

    @property
    def socket(self) -> str:
        """The agent's socket."""
        return f"{self.folder}/run/agent.sock"


def probe(connection: Connection, entry: BoardEntry) -> Facts:
    """Look at a board.

    Raises:
        UsageError: it cannot run the agent; everything that is missing is in the message.
        BoardUnreachable: the connection was lost.
    """
    import shlex

    candidates = (entry.python,) if entry.python else _CANDIDATES
    script = _SCRIPT.format(
        candidates=" ".join(map(shlex.quote, candidates)), facts=_FACTS.replace("'", "'\\''")
    )
    done = connection.run(script)
    system, found = "", []
    for line in done.out.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "system":
            system = rest
        elif kind == "python" and rest.startswith("{"):
            found.append(parse_json(rest))
    return judge(entry, system, found)


def judge(entry: BoardEntry, system: str, found: list[dict[str, Any]]) -> Facts:
    """Choose the interpreter and check everything else.

    Args:
        system: the board's name for its operating system.
        found: what each interpreter says.
    """
    wanted = f"{PYTHON[0]}.{PYTHON[1]}"
    good = [each for each in found if tuple(each["version"][:2]) >= PYTHON and not each["missing"]]
    where = f"{entry.name} ({system})" if system else entry.name
    if not good:
        raise UsageError(
            f"the board needs Python {wanted} or newer; {_what_there_is(found)}",
            where=where,
            hint=f"install one beside it, as `apt-get install python{wanted} python{wanted}-venv`, "
            "or name one with --python PATH",
        )
    best = good[0]  # what python3 means wins over others that are new enough
    lacks = _lacks(best)
    folder = PurePosixPath(best["home"]) / entry.folder
    if len(f"{folder}/run/agent.sock".encode()) > _MAX_SOCKET_PATH:
        lacks.append(f"a shorter folder than {folder} (sockets have short paths): use --folder")
    if lacks:
        raise UsageError(
            f"the board lacks {'; '.join(lacks)}",
            where=where,
            hint="nothing was changed; mend this and repeat the command",
        )
    return Facts(
        best["path"],
        (best["version"][0], best["version"][1]),
        best["machine"],
        _libc(best),
        best["free"],
        str(folder),
        system,
    )


def _what_there_is(found: list[dict[str, Any]]) -> str:
    if not found:
        return "it has none"
    texts = []
    for each in found:
        number = ".".join(map(str, each["version"]))
        lack = f" without a part of its library ({each['missing']})" if each["missing"] else ""
        texts.append(f"{each['path']} is {number}{lack}")
    return "there is " + ", ".join(dict.fromkeys(texts))


def _lacks(best: dict[str, Any]) -> list[str]:
    lacks = []
    if best["system"] != "linux" or best["implementation"] != "CPython":
        lacks.append(f"Linux with CPython (it has {best['system']}, {best['implementation']})")
    if best["machine"] not in ARCHITECTURES or not best["bits"]:
        lacks.append(
            f"an architecture that is supported: {' or '.join(ARCHITECTURES)}, 64 bit (it is "
            f"{best['machine']}, {64 if best['bits'] else 32} bit)"
        )
    if _libc(best) < _OLDEST_LIBC:
        name = " ".join(best["libc"]).strip() or "another one"
        lacks.append(f"glibc 2.17 or newer (it has {name})")
    if best["free"] < NEEDED_BYTES:
        lacks.append(
            f"room: {NEEDED_BYTES >> 20} MB in {best['home']} ({best['free'] >> 20} MB are free)"
        )
    return lacks


def _libc(facts: dict[str, Any]) -> tuple[int, int]:
    name, version = facts["libc"]
    numbers = version.split(".")
    if name != "glibc" or len(numbers) < 2 or not all(part.isdigit() for part in numbers[:2]):
        return (0, 0)
    return int(numbers[0]), int(numbers[1])


def run_json(connection: Connection, script: str, timeout_s: float = 60.0) -> dict[str, Any]:
    """Run a script whose last line of output is a JSON object.

    Raises:
        BpuError: it failed; with what it said.
    """
    done = connection.run(script, timeout_s=timeout_s)
    lines = done.out.strip().splitlines()
    if done.status == 0 and lines:
        try:
            answer = parse_json(lines[-1])
        except InputError:
            answer = None
        if isinstance(answer, dict):
            return answer
    text = (done.err.strip() or done.out.strip() or f"status {done.status}")[-2000:]
    message, _, hint = text.removeprefix("error: ").partition("\n  hint: ")
    raise BpuError(f"on the board: {message}", where=connection.where, hint=hint)
