"""Turning a bare board into a working one, and a working one into a newer one.

Every step looks first whether it is done, so an interrupted installation is simply repeated. A new
environment is complete before the agent is changed over to it; one that does not start is changed
back.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpu_common.errors import BpuError, DeployError
from bpu_common.json_form import parse_json
from bpu_common.words import counted
from bpu_host.boards.bundle import fetch_bundle
from bpu_host.boards.inventory import BoardEntry
from bpu_host.boards.probe import Facts, run_json
from bpu_host.boards.wheel import board_wheel
from bpu_host.remote.ssh import Connection

_INSTALL_S = 1800.0
_UPLOAD_S = 1800.0
_START_S = 60.0  # the first start compiles what it imports

_DIGESTS = """\
import hashlib, json, os, sys
os.umask(0o077)
top = os.path.dirname(sys.argv[1])
held = set(os.listdir(top)) if os.path.isdir(top) else set()
if held and not held & {"wheels", "current", "service.json"}:
    sys.exit("error: the folder holds files that are not of OpenBPU: " + top
             + "\\n  hint: give a new folder as --folder")
os.makedirs(sys.argv[1], 0o700, exist_ok=True)
os.chmod(top, 0o700)
found = {}
for name in sorted(os.listdir(sys.argv[1])):
    if name.endswith(".whl"):
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
print(json.dumps(found))
"""

_ENVIRONMENT = """\
set -e
umask 077
cd {folder}
rm -rf {env}
{python} -m venv {venv_options} {env} >&2
PIP_NO_INPUT=1 {env}/bin/python {pip} install --quiet --no-compile --no-cache-dir \\
  --disable-pip-version-check {options} wheels/{wheel} >&2
touch {env}/complete
echo '{{}}'
"""

_ACTIVATE = """\
set -e
umask 077
cd {folder}
if [ -x current/bin/python ]; then
  current/bin/python -m bpu_board.cli.supervise uninstall --folder {folder} >&2 || true
fi
rm -f current.new
ln -s {env} current.new
{python} -c 'import os; os.replace("current.new", "current")'
exec {folder}/{env}/bin/python -m bpu_board.cli.supervise install --folder {folder} \\
  --wait {wait} {options}
"""


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """Choices of the user.

    Attributes:
        bundle: send the wheels even if the board may reach a package index.
        plain: do without systemd.
        agent: options of bpu-agent; None keeps those that are there.
    """

    bundle: bool = False
    plain: bool = False
    agent: tuple[str, ...] | None = None


def install(
    connection: Connection,
    entry: BoardEntry,
    facts: Facts,
    options: InstallOptions,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Have this version's agent run on the board; what `supervise status` says then.

    Args:
        entry: its folder is absolute.
        report: told what is being done.

    Raises:
        BpuError: it does not work; a version that ran before runs again.
    """
    wheel = board_wheel(facts.machine)
    folder = entry.folder
    environment = f"env-{wheel.digest[:12]}-py{facts.version[0]}{facts.version[1]}"
    before = current(connection, folder)
    if before.get("environment") == environment and before.get("answers"):
        same = options.agent is None or list(options.agent) == before.get("options")
        if same and not (options.plain and before.get("kind") != "supervisor"):
            report("this version runs already")
            return before
    if environment not in before.get("complete", ()):
        _make_environment(connection, folder, facts, environment, options.bundle, report)
    kept = tuple(map(str, before.get("options", ())))
    agent = options.agent if options.agent is not None else kept
    plain = options.plain or (options.agent is None and bool(before.get("plain")))
    words = (["--supervisor"] if plain else []) + (["--", *agent] if agent else [])
    report("starting the agent")
    try:
        status = _activate(connection, folder, facts, environment, words)
    except BpuError as error:
        _go_back(connection, folder, facts, before, report)
        raise error
    _tidy(connection, folder, environment)
    return status


_CURRENT = """\
cd {folder} 2>/dev/null || {{ echo '{{}}'; exit 0; }}
env=$(readlink current || true)
complete=$(for each in env-*/complete; do
  [ -e "$each" ] && printf '"%s",' "${{each%/complete}}"
done)
printf '{{"environment": "%s", "complete": [%s]}}\\n' "$env" "${{complete%,}}"
[ -x current/bin/python ] && current/bin/python -m bpu_board.cli.supervise status --folder {folder}
exit 0
"""


def current(connection: Connection, folder: str) -> dict[str, Any]:
    """What is installed: the environment in use, the complete ones, the agent's status."""
    done = connection.run(_CURRENT.format(folder=shlex.quote(folder)))
    found: dict[str, Any] = {}
    for line in done.out.splitlines():
        if line.startswith("{"):
            found.update(parse_json(line))
    return found


def _make_environment(
    connection: Connection,
    folder: str,
    facts: Facts,
    environment: str,
    bundle: bool,
    report: Callable[[str], None],
) -> None:
    wheel = board_wheel(facts.machine)
    if not wheel.kernels:
        report(
            f"no compiled kernels for {facts.machine} here: the board computes with onnxruntime, "
            "slower, with the same bits (docs/kernels.md)"
        )
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / wheel.name
        path.write_bytes(wheel.data)
        _send(connection, folder, facts, (path,), report)
    values = {
        "folder": shlex.quote(folder),
        "env": environment,
        "python": shlex.quote(facts.python),
        "wheel": wheel.name,
    }
    if not bundle and not _was_bundled(connection, folder, facts):
        report("installing what it requires from the board's package index")
        script = _ENVIRONMENT.format(
            **values, venv_options="", pip="-m pip", options="--retries 1 --timeout 10"
        )
        done = connection.run(script, timeout_s=_INSTALL_S)
        if done.status == 0:
            return
        reason = (done.err.strip() or done.out.strip() or "no reason given").splitlines()[-1]
        report(f"that does not work ({reason}); the wheels are sent from here")
    report("fetching the wheels for the board")
    wheels = fetch_bundle(facts)
    _send(connection, folder, facts, wheels, report)
    pip = next(each.name for each in wheels if each.name.startswith("pip-"))
    report("installing")
    script = _ENVIRONMENT.format(
        **values,
        venv_options="--without-pip",
        pip=f"wheels/{pip}/pip",
        options="--no-index --find-links wheels",
    )
    run_json(connection, script, timeout_s=_INSTALL_S)


def _send(
    connection: Connection,
    folder: str,
    facts: Facts,
    paths: Iterable[Path],
    report: Callable[[str], None],
) -> None:
    """Bring files to the board; those that are there are not sent again."""
    import hashlib

    wheels = f"{folder}/wheels"
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    there = _digests(connection, facts, wheels)
    missing = [path for path, digest in digests.items() if there.get(path.name) != digest]
    if not missing:
        return
    size_bytes = sum(path.stat().st_size for path in missing)
    report(f"sending {counted(len(missing), 'wheel')} ({size_bytes / 1e6:.1f} MB)")
    for path in missing:
        target = shlex.quote(f"{wheels}/{path.name}")
        script = f"umask 077; cat > {target}.part && mv -f {target}.part {target}"
        done = connection.run(script, data=path, timeout_s=_UPLOAD_S)
        if done.status != 0:
            raise DeployError(
                f"the board does not take {path.name}: {done.err.strip()}",
                where=connection.where,
                hint="is its disk full?",
            )
    there = _digests(connection, facts, wheels)
    for path in missing:
        if there.get(path.name) != digests[path]:
            raise DeployError(
                f"{path.name} has not arrived unchanged",
                where=connection.where,
                hint="repeat the command",
            )


def _was_bundled(connection: Connection, folder: str, facts: Facts) -> bool:
    """The board has the wheels of an earlier bundle: what it lacks is less than it would fetch."""
    return any(name.startswith("pip-") for name in _digests(connection, facts, f"{folder}/wheels"))


def _digests(connection: Connection, facts: Facts, wheels: str) -> dict[str, Any]:
    words = shlex.join([facts.python, "-c", _DIGESTS, wheels])
    return run_json(connection, words)


def _activate(
    connection: Connection, folder: str, facts: Facts, environment: str, words: list[str]
) -> dict[str, Any]:
    script = _ACTIVATE.format(
        folder=shlex.quote(folder),
        env=shlex.quote(environment),
        python=shlex.quote(facts.python),
        wait=_START_S,
        options=shlex.join(words),
    )
    return run_json(connection, script, timeout_s=_START_S + 60)


def _go_back(
    connection: Connection,
    folder: str,
    facts: Facts,
    before: dict[str, Any],
    report: Callable[[str], None],
) -> None:
    """Run again what ran before."""
    environment = str(before.get("environment", ""))
    if not environment or environment not in before.get("complete", ()):
        return
    report("it does not start: going back to the version that ran before")
    options = list(map(str, before.get("options", ())))
    plain = ["--supervisor"] if before.get("plain") else []
    words = plain + (["--", *options] if options else [])
    try:
        _activate(connection, folder, facts, environment, words)
    except BpuError as error:
        report(f"that one does not start either: {error.message}")


def _tidy(connection: Connection, folder: str, environment: str) -> None:
    """Remove environments that are not in use."""
    script = (
        f"cd {shlex.quote(folder)} && for each in env-*; do "
        f'[ "$each" = {shlex.quote(environment)} ] || rm -rf "$each"; done'
    )
    connection.run(script, timeout_s=300)
