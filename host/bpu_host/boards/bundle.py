"""Wheels for a board that cannot reach a package index: fetched here, for its Python and chip."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

from bpu_common.errors import DeployError, UsageError
from bpu_host.boards.places import cache_folder
from bpu_host.boards.probe import Facts
from bpu_host.boards.wheel import REQUIREMENTS

_TIMEOUT_S = 900
_DONE = "complete"
_OLDEST_MINOR = 17


def fetch_bundle(facts: Facts) -> tuple[Path, ...]:
    """Everything that the board's wheel requires, and pip itself; kept for the next board.

    Raises:
        DeployError: pip does not get them.
        UsageError: there is no pip here.
    """
    folder = cache_folder() / "wheels" / _key(facts)
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _download(facts, part)
        (part / _DONE).touch()
        part.replace(folder)
    return tuple(sorted(folder.glob("*.whl")))


def platforms(facts: Facts) -> tuple[str, ...]:
    """Platform tags of wheels that run there, the newest first.

    pip has to be given each one: an older tag alone hides newer wheels.
    """
    major, minor = facts.libc
    modern = [
        f"manylinux_{major}_{each}_{facts.machine}" for each in range(minor, _OLDEST_MINOR - 1, -1)
    ]
    old = [f"manylinux2014_{facts.machine}"]
    if facts.machine == "x86_64":
        old += ["manylinux2010_x86_64", "manylinux1_x86_64"]
    return (*modern, *old, f"linux_{facts.machine}")


def _key(facts: Facts) -> str:
    wanted = [REQUIREMENTS, facts.version, facts.machine, facts.libc]
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]


def _download(facts: Facts, folder: Path) -> None:
    version = f"{facts.version[0]}{facts.version[1]}"
    common = [*_pip(), "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    only = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version]
    abis = ["--abi", f"cp{version}", "--abi", "abi3", "--abi", "none"]
    tags = [word for tag in platforms(facts) for word in ("--platform", tag)]
    command = [*common, *only, *abis, *tags, *REQUIREMENTS, "pip"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"pip takes longer than {_TIMEOUT_S} s to fetch the wheels") from None
    if done.returncode != 0:
        reason = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-2:])
        raise DeployError(
            f"pip does not get the wheels for Python {facts.version[0]}.{facts.version[1]} on "
            f"{facts.machine}: {reason}",
            hint="this machine must reach a package index once; what it gets is kept",
        )


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if path := shutil.which(name):
            return [path]
    if path := shutil.which("uv"):
        return [path, "tool", "run", "pip"]
    raise UsageError(
        "there is no pip on this machine to fetch the wheels with",
        hint=f"`{sys.executable} -m ensurepip`",
    )
