"""Text from outside: what a name may hold, and how anything of it is shown on a terminal.

A terminal obeys control characters, and those that change the direction of text let one name look
like another. Names are refused at their door, in models and requests; what is shown anyway, such as
the message about a refused name, goes through `plain`.
"""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0, C1, direction and line marks, half characters. A list of its own and not `isprintable`, whose
answer depends on the Unicode version of each Python."""


def has_controls(text: str) -> bool:
    """Whether a terminal would obey a part of the text."""
    return _CONTROLS.search(text) is not None


def plain(text: str) -> str:
    """The text with a `?` for each character that cannot be printed."""
    return text if text.isprintable() else "".join(e if e.isprintable() else "?" for e in text)


def plain_lines(text: str) -> str:
    """As `plain`, with the line ends of the text."""
    return "\n".join(map(plain, text.split("\n")))
