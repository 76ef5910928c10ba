"""What a user should know about a conversion that ended well, and may still be useless."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One warning.

    Attributes:
        subject: the output, node, tensor, file or key it is about.
        sentence: what was seen, with its numbers.
        hint: what to try next.
    """

    subject: str
    sentence: str
    hint: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.sentence}; {self.hint}"
