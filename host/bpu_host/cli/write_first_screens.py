"""Writes what the host's programs print before they import anything (`make docs`)."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from bpu_common import __version__
from bpu_common.first_screens import module
from bpu_host.cli.completing import PROGRAMS

_NAMES = {"hb_mapper": "hb_mapper (OpenBPU)"}
_WIDTH = 80


def text() -> str:
    """The module `bpu_host.cli.first_screens`."""
    screens = {}
    for program, (place, name) in PROGRAMS.items():
        command = getattr(importlib.import_module(place), name)
        assert isinstance(command, click.Command)
        settings = {**command.context_settings, "terminal_width": _WIDTH}
        with click.Context(command, info_name=program, **settings) as context:
            screens[program] = command.get_help(context) + "\n"
    versions = {each: f"{_NAMES.get(each, each)} {__version__}\n" for each in PROGRAMS}
    return module(versions, screens)


if __name__ == "__main__":
    (Path(__file__).parent / "first_screens.py").write_text(text())
