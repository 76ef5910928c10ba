"""The file of boards: what goes in comes out, damage is named, programs exclude each other."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.errors import UsageError
from bpu_host.boards import BoardEntry, Inventory, places
from bpu_host.client import is_name, route_to


def test_entries_come_back(home: Path) -> None:
    inventory = Inventory()
    assert inventory.entries() == ()
    first = BoardEntry("b", "10.0.0.2", "root", 2222, "/opt/openbpu", "/usr/bin/python3.10")
    second = BoardEntry("a", "alias", transport="openssh")
    inventory.put(first)
    inventory.put(second)
    assert Inventory().entries() == (second, first)
    assert Inventory().get("b") == first
    Inventory().remove("b")
    assert inventory.find("b") is None
    path = home / ".config" / "openbpu" / "boards.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 2, "boards": []}',
        '{"version": 1, "boards": [{"name": "a"}]}',
        '{"version": 1, "boards": [{"name": "a", "host": "h", "port": "22"}]}',
        '{"version": 1, "boards": [{"name": "a", "host": "h", "shell": "sh"}]}',
        '{"version": 1, "boards": [{"name": "../a", "host": "h"}]}',
        "[" * 100_000,
        '{"version": 1, "boards": [], "x": "' + "x" * (1 << 20) + '"}',
        '{"version": 1' + "1" * 5000 + "}",
    ],
)
def test_damage_is_named_and_nothing_is_lost(text: str) -> None:
    inventory = Inventory()
    inventory.path.write_text(text)
    with pytest.raises(UsageError) as caught:
        inventory.put(BoardEntry("b", "h"))
    assert str(inventory.path) in str(caught.value) or "not a name" in str(caught.value)
    assert inventory.path.read_text() == text


@pytest.mark.parametrize("name", ["", "-a", "a/b", "../a", "a:b", "a b", "ä", "a" * 64, "a\n"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        BoardEntry(name, "host")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True))
def test_names_are_no_addresses(name: str) -> None:
    assert is_name(BoardEntry(name, "host").name)


def test_an_agent_is_no_board_to_add(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Inventory(tmp_path / "boards.json").get("unix:/tmp/bpu.sock")
    assert "bpu top --once --board unix:/tmp/bpu.sock" in str(caught.value.hint)


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UsageError, match="no boards"):
        route_to("desk")
    Inventory().put(BoardEntry("desk", "host"))
    with pytest.raises(UsageError) as caught:
        Inventory().get("dsk")
    assert "did you mean desk?" in caught.value.hint


def test_many_writers_lose_nothing() -> None:
    def put(number: int) -> None:
        for each in range(5):
            Inventory().put(BoardEntry(f"b{number}-{each}", "host"))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Inventory().entries()) == 20
    json.loads(Inventory().path.read_text())


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        (BoardEntry("a", "h"), "h"),
        (BoardEntry("a", "h", "u", 22), "u@h:22"),
        (BoardEntry("a", "::1", "u", 22), "u@[::1]:22"),
    ],
)
def test_target(entry: BoardEntry, target: str) -> None:
    assert entry.target == target


def test_a_runtime_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"openbpu-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="not a folder of yours"):
        places.runtime_folder()


def test_an_open_folder_is_closed(home: Path) -> None:
    folder = home / ".config" / "openbpu"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    assert places.config_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
