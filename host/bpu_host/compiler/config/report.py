"""What is wrong with a configuration, and what its user should know: collected, told at once."""

from __future__ import annotations

from bpu_common.errors import ConfigError
from bpu_common.words import counted
from bpu_host.compiler.config.document import Document, Problem

MAX_PROBLEMS = 20
"""What is told at once; nobody mends more before the next run."""


class Report:
    """Problems and notes at keys of one document.

    Attributes:
        broken: keys (`group.key`) without a valid value. Something else stands in for it, so that
            the rest of the file is checked; what follows from the stand-in is not told.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)
        self.notes: list[str] = []
        self.broken: set[str] = set()

    def place(self, key: str) -> str:
        """`file:line:col` of a key, of its group if the key is not there, or the file."""
        known = self.document.locations
        return known.get(key, known.get(key.split(".")[0], self.document.file))

    def problem(self, key: str, sentence: str, *needs: str, hint: str = "") -> None:
        """Something is wrong at `key`; `needs` are the other keys whose values say so."""
        if not self.broken.intersection((key, *needs)):
            self.problems.append(Problem(f"{key}: {sentence}", self.place(key), hint))

    def note(self, sentence: str) -> None:
        """Something the user should know; no reason to stop."""
        self.notes.append(sentence)

    def error(self) -> ConfigError:
        """The problems as one error, the first `MAX_PROBLEMS` in words."""
        told = list(map(str, self.problems[:MAX_PROBLEMS]))
        if more := len(self.problems) - len(told):
            told.append(f"and {counted(more, 'further problem')}")
        return ConfigError("\n".join(told))
