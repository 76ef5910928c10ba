"""What a board has is judged right, and everything that it lacks is said at once."""

from __future__ import annotations

import json
import subprocess

import pytest

from bpu_common.errors import BpuError, UsageError
from bpu_host.boards import BoardEntry, probe
from bpu_host.remote.ssh import Completed

ENTRY = BoardEntry("desk", "host")


def facts(**changed: object) -> dict[str, object]:
    return {
        "version": [3, 10, 4],
        "machine": "aarch64",
        "libc": ["glibc", "2.31"],
        "free": 4 << 30,
        "missing": "",
        "home": "/home_of/me",
        "bits": True,
        "path": "/usr/bin/python3.10",
        "system": "linux",
        "implementation": "CPython",
        **changed,
    }


class Local:
    """A connection to this machine."""

    where = "here"
    alive = True

    def run(self, script: str, data: bytes = b"", timeout_s: float = 60) -> Completed:
        done = subprocess.run(
            ["sh", "-c", script], input=data, capture_output=True, timeout=timeout_s, check=False
        )
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def close(self) -> None:
        pass


def test_the_first_that_is_new_enough() -> None:
    old = facts(version=[3, 8, 10], path="/usr/bin/python3")
    found = probe.judge(ENTRY, "Ubuntu 20.04", [old, facts()])
    assert (found.python, found.version) == ("/usr/bin/python3.10", (3, 10))
    assert found.libc == (2, 31)
    assert found.socket == "/home_of/me/.openbpu/run/agent.sock"


def test_an_absolute_folder_is_kept() -> None:
    entry = BoardEntry("desk", "host", folder="/opt/x")
    assert probe.judge(entry, "", [facts()]).folder == "/opt/x"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "it has none"),
        ([facts(version=[3, 8, 10])], "is 3.8.10"),
        ([facts(missing="No module named 'ssl'")], "No module named 'ssl'"),
        ([facts(machine="armv7l", bits=False)], "armv7l, 32 bit"),
        ([facts(machine="riscv64")], "riscv64"),
        ([facts(libc=["", ""])], "glibc 2.17"),
        ([facts(libc=["musl", "1.2"])], "musl 1.2"),
        ([facts(free=1 << 20)], "1 MB are free"),
        ([facts(system="darwin")], "darwin"),
        ([facts(home="/" + "x" * 100)], "shorter folder"),
    ],
)
def test_what_is_missing(found: list[dict[str, object]], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        probe.judge(ENTRY, "Ubuntu 20.04", found)
    assert says in caught.value.message
    assert caught.value.hint


def test_everything_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        probe.judge(ENTRY, "", [facts(machine="mips", free=0, libc=["", ""])])
    for word in ("mips", "glibc", "room"):
        assert word in caught.value.message


def test_this_machine_can_be_looked_at() -> None:
    found = probe.probe(Local(), ENTRY)
    assert found.version >= (3, 10)
    assert found.machine in probe.ARCHITECTURES
    assert found.folder.endswith("/.openbpu")


def test_errors_of_the_board_arrive_whole() -> None:
    script = "printf 'error: it is broken\\n  hint: mend it\\n' >&2; exit 1"
    with pytest.raises(BpuError) as caught:
        probe.run_json(Local(), script)
    assert (caught.value.message, caught.value.hint) == ("on the board: it is broken", "mend it")
    assert probe.run_json(Local(), f"echo noise; echo '{json.dumps({'a': 1})}'") == {"a": 1}
