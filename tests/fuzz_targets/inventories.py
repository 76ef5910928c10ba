"""Inventories of boards."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bpu_host.boards.inventory import BoardEntry, Inventory
from tests.fuzz_targets.target import Target
from tests.hostile.changes import change_bytes, change_json


@cache
def seeds() -> Sequence[bytes]:
    """Three boards, and a text that nests too deeply."""
    boards = [
        {"name": "desk", "host": "10.0.0.2", "user": "sunrise", "port": 22, "folder": ".openbpu"},
        {"name": "rack", "host": "::1", "python": "python3", "transport": "openssh"},
        {"name": "here", "host": "localhost", "address": "unix:/run/a.sock"},
    ]
    return [json.dumps({"version": 1, "boards": boards}).encode(), b"[" * 50_000]


def change(source: random.Random, data: bytes) -> bytes:
    """Another inventory, mostly of JSON."""
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError):
        return change_bytes(source, data)
    if source.random() < 0.1:
        return change_bytes(source, data)
    for _ in range(source.randint(1, 3)):
        loaded = change_json(source, loaded)
    return json.dumps(loaded).encode()


def run(data: bytes, folder: Path) -> None:
    """Read all, find, add and remove one."""
    path = folder / "boards.json"
    path.write_bytes(data)
    inventory = Inventory(path)
    known = {entry.name for entry in inventory.entries()}
    for entry in inventory.entries():
        assert entry.target
        assert inventory.find(entry.name) == entry
    inventory.put(BoardEntry("added", "host"))
    inventory.remove("added")
    assert {entry.name for entry in inventory.entries()} == known - {"added"}


TARGET = Target("inventories", seeds, run, change)
