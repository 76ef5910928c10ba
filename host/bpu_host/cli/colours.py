"""Colours of what commands print, where somebody sees them."""

from __future__ import annotations

from typing import TextIO

from bpu_common.environment import NO_COLOR, TERM

_CODES = {"error": "\x1b[1;31m", "warning": "\x1b[33m", "good": "\x1b[32m"}
_RESET = "\x1b[0m"


def coloured(text: str, meaning: str, stream: TextIO) -> str:
    """The text in the colour of `error`, `warning` or `good`.

    As it is where `stream` is no terminal, NO_COLOR is set (to anything but nothing) or TERM is
    dumb.
    """
    if not stream.isatty() or NO_COLOR.value or TERM.value == "dumb":
        return text
    return f"{_CODES[meaning]}{text}{_RESET}"
