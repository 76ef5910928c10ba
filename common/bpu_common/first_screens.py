"""Versions and top-level help, answered before a program imports anything.

A program's `first_screens` module holds what it would print; `make docs` writes it with `module`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def answered(version: str, screen: str, *, bare: bool = True) -> bool:
    """Print one of them, if that is all the command line asks for.

    Args:
        bare: a command line without arguments asks for help.
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        text = version
    elif arguments in (["--help"], ["-h"]) or (bare and not arguments):
        if not _fits(screen):
            return False  # who wraps lines can do it for this terminal
        text = screen
    else:
        return False
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # `bpu --help | head -1`
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  else the flush at exit fails
    return True


def module(versions: Mapping[str, str], screens: Mapping[str, str]) -> str:
    """The text of a `first_screens` module, by program."""
    lines = ['"""What programs print before they import anything; written by `make docs`."""\n']
    for constant, values in (("VERSIONS", versions), ("SCREENS", screens)):
        lines.append(f"{constant} = {{")
        for program, shown in values.items():
            body = shown.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
            lines.append(f'    "{program}": """\\\n{body}""",')
        lines.append("}\n" if constant == "VERSIONS" else "}")
    return "\n".join(lines) + "\n"


def _fits(text: str) -> bool:
    """On the terminal; what is no terminal has any width."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        try:
            columns = os.get_terminal_size(1).columns
        except OSError:
            return True
    return max(map(len, text.splitlines())) <= columns
