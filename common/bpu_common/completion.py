"""How a shell asks a program what may complete its line: as it asks programs made with click.

This module alone reads the variables that it asks by. It imports nothing: every start passes here.
"""

from __future__ import annotations

import os


def variable(program: str) -> str:
    """The environment variable by which a shell asks a program."""
    return f"_{program.replace('-', '_').upper()}_COMPLETE"


def asked(program: str) -> bool:
    """A shell started the program, not a user."""
    return variable(program) in os.environ


def question(program: str) -> tuple[str, str, str]:
    """The shell, the line, and the number of the incomplete word (fish: that word)."""
    shell = os.environ[variable(program)].partition("_")[0]
    return shell, os.environ.get("COMP_WORDS", ""), os.environ.get("COMP_CWORD", "")
