"""What a user should know about a conversion that ended well, and may still be useless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.errors import ModelUnsupported
from bpu_common.words import counted


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


def refuse(findings: Sequence[Finding], outcome: str = "") -> None:
    """Take findings for errors.

    Args:
        outcome: what that means for the products.

    Raises:
        ModelUnsupported: there are some; each is a note of it.
    """
    if not findings:
        return
    allowed = f"strict allows none: {outcome}" if outcome else "strict allows none"
    error = ModelUnsupported(
        f"{counted(len(findings), 'warning')} about the conversion, and {allowed}",
        hint="mend what is named below, or leave --strict out",
    )
    for finding in findings:
        error.add_note(str(finding))
    raise error
