"""What a user should know about a conversion that ended well, and may still be useless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.errors import ModelUnsupported


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


def counted(findings: Sequence[Finding]) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{len(findings)} warning{'s' if len(findings) != 1 else ''}"


def refuse(findings: Sequence[Finding]) -> None:
    """Take findings for errors.

    Raises:
        ModelUnsupported: there are some; each is a note of it.
    """
    if not findings:
        return
    error = ModelUnsupported(
        f"{counted(findings)} about the conversion, and strict allows none: nothing was written",
        hint="mend what is named below, or convert without --strict",
    )
    for finding in findings:
        error.add_note(str(finding))
    raise error
