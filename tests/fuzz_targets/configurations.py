"""YAML configurations of conversions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from bpu_host.compiler.config import load_config
from bpu_host.compiler.config.schema import GROUPS
from tests.fuzz_targets.target import Target
from tests.hostile.changes import TEXT, change_bytes, change_text
from tests.hostile.yaml_files import alias_bomb, merge_bomb
from tests.support.yaml_forms import forms
from tests.support.yaml_front import config


@cache
def _words() -> Sequence[str]:
    """Keys, values of published files, and what YAML makes something else of."""
    keys = [name for group in GROUPS.values() for name in group.model_fields]
    values = [str(value) for form in forms() for value in form.changes.values()]
    odd = [
        "null",
        "[1, {a: b}]",
        "1e400",
        ".nan",
        "0x1F",
        "!!python/none x",
        "2001-01-01",
        "&a 1",
        "*a",
        "<<",
        "? x",
        "{",
        "1x3x224x224",
        "-1x3",
        "1;2;;",
        "'\\ud83d'",
        "1" * 99,
    ]
    return [*keys, *GROUPS, *values, *odd, *TEXT]


@cache
def seeds() -> Sequence[bytes]:
    """The shortest configuration that is right, published forms, and small bombs."""
    documents = [config(), *(form.document() for form in forms())]
    texts = [yaml.safe_dump(each, sort_keys=False) for each in documents[::3]]
    texts += [alias_bomb(2, 3), merge_bomb(2, 3)]
    return [text.encode() for text in texts]


def change(source: random.Random, data: bytes) -> bytes:
    """Another configuration, mostly with another line."""
    if source.random() < 0.1:
        return change_bytes(source, data)
    text = data.decode(errors="replace")
    for _ in range(source.randint(1, 3)):
        text = change_text(source, text, _words())
    return text.encode()


def run(data: bytes, folder: Path) -> None:
    """All checks that come before the model is opened."""
    path = folder / "net.yaml"
    path.write_bytes(data)
    load_config(path)


TARGET = Target("configurations", seeds, run, change)
