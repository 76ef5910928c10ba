"""What shells complete on the command lines of the board's programs.

A shell asks as it asks programs made with click: `bpu completion` writes its script for both.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bpu_common.completion import question


class Kind(str, enum.Enum):
    """What an option takes, in the words of the shells' scripts; a FLAG takes nothing."""

    FLAG = "flag"
    WORD = "plain"
    FILE = "file"
    FOLDER = "dir"


@dataclass(frozen=True, slots=True)
class Taken:
    """What an option takes; `words` are those that it knows."""

    kind: Kind
    words: tuple[str, ...] = ()


def answer(program: str, commands: Sequence[str], options: Mapping[str, Taken]) -> str:
    """What the shell that asks a program gets.

    Args:
        commands: sub-commands of the program.
        options: by their names, dashes included.
    """
    shell, line, at = question(program)
    words, incomplete = _split(shell, line, at)
    end = "\n_" if shell == "zsh" else ""
    between = "\n" if shell == "zsh" else ","
    found = completions(commands, options, words, incomplete)
    return "".join(f"{kind.value}{between}{word}{end}\n" for kind, word in found)


def completions(
    commands: Sequence[str], options: Mapping[str, Taken], words: Sequence[str], incomplete: str
) -> list[tuple[Kind, str]]:
    """How a word may go on.

    Args:
        words: those before it, without the program. bash makes three of `--name=value`.
    """
    prefix = ""
    if incomplete == "=":
        words, incomplete = [*words, "="], ""
    if words and words[-1] == "=":
        words = words[:-1]
    elif incomplete.startswith("--") and "=" in incomplete:
        name, _, incomplete = incomplete.partition("=")
        words, prefix = [*words, name], f"{name}="
    taken = options.get(words[-1]) if words else None
    if taken is not None and taken.kind in (Kind.FILE, Kind.FOLDER):
        return [(taken.kind, incomplete)]
    if taken is not None and taken.kind is Kind.WORD:
        return _beginning(taken.words, incomplete, prefix)
    if incomplete.startswith("-") or not commands or any(word in commands for word in words):
        return _beginning(options, incomplete)
    return _beginning(commands, incomplete)


def _beginning(words: Iterable[str], start: str, prefix: str = "") -> list[tuple[Kind, str]]:
    return [(Kind.WORD, f"{prefix}{word}") for word in words if word.startswith(start)]


def _split(shell: str, line: str, at: str) -> tuple[list[str], str]:
    """The words before the incomplete one, and that one."""
    words = _words(line)
    if shell == "fish":  # `at` is the incomplete word, which ends the line as well
        return words[1 : -1 if at else None], at
    number = int(at)
    return words[1:number], words[number] if number < len(words) else ""


def _words(line: str) -> list[str]:
    """The words of a line; a quotation that is not ended yet hides nothing."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
