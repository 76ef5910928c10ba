"""The forms in which people write a value: ';' and YAML lists, quotes, numbers and flags as text.

Everything here is lenient about the form and leaves the meaning to the schema.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_FLAGS = {"true": True, "yes": True, "on": True, "1": True}
_FLAGS |= {"false": False, "no": False, "off": False, "0": False}
_SIZE_SEPARATORS = re.compile(r"\s*[xX*×,]\s*|\s+")
_MAX_SIZE = 1 << 24


def is_blank(value: object) -> bool:  # raw YAML
    """Whether a key was left empty: nothing stands there but blanks, separators and brackets."""
    if isinstance(value, str):
        return not value.replace(";", " ").strip()
    if isinstance(value, list):
        return all(map(is_blank, value))
    return value is None or value == {}


def texts(value: object, joint: str = "") -> object:  # raw YAML
    """`'a; b'`, `[a, b]` or `a` as a list of texts; what is none of these stays as it is.

    Texts inside a YAML list are taken to the letter, so that a name may hold anything.

    Args:
        joint: what the elements of an inner list are joined with (values of one input); without
            it inner lists stay.
    """
    if isinstance(value, dict) and value and all(item is None for item in value.values()):
        return [str(key) for key in value]  # the template's form {OP_name}
    if isinstance(value, str):
        return _parts(value)
    if isinstance(value, list):
        found: list[object] = []
        for item in value:
            if isinstance(item, list) and joint:
                found.append(joint.join(map(str, item)))
            else:
                found.append(item if isinstance(item, (list, dict)) else str(item))
        return found
    return value if value is None or isinstance(value, dict) else [str(value)]


def _parts(text: str) -> list[str]:
    parts = [
        _unquoted(part.strip()) for part in text.replace("\N{FULLWIDTH SEMICOLON}", ";").split(";")
    ]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _unquoted(text: str) -> str:
    """Without the quotes that YAML keeps when they stand inside others: `"1 2; 'None'"`."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip()
    return text


def each(change: Callable[[str], str], joint: str = "") -> Callable[[object], object]:
    """`texts`, every element changed."""

    def read(value: object) -> object:  # raw YAML
        found = texts(value, joint)
        if not isinstance(found, list):
            return found
        return [change(item.strip()) if isinstance(item, str) else item for item in found]

    return read


def changed(change: Callable[[str], str]) -> Callable[[object], object]:
    """One text without blanks around it, changed; anything else as it is."""
    return lambda value: change(value.strip()) if isinstance(value, str) else value


def name(value: object) -> object:  # raw YAML
    """A name or a path; numbers are names too.

    Raises:
        ValueError: it holds control characters.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("control characters are not possible in a name or path")
    return text


def number(value: object) -> object:  # raw YAML
    """A whole number, also where it stands in quotes."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value


def flag(value: object) -> object:  # raw YAML
    """True or False, as YAML, Python and shells write them."""
    known = _FLAGS.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
    return value if known is None else known


def level(value: object) -> object:  # raw YAML
    """An optimization level, O0 to O3; the bare digit is taken too."""
    text = str(value).strip().upper()
    return f"O{text}" if text.isdecimal() else text


def shape(text: str) -> tuple[int, ...]:
    """`1x3x224x224`, also with other separators and in brackets; empty if it is no shape."""
    parts = _SIZE_SEPARATORS.split(text.strip().strip("[]()").strip())
    if not all(part.isdecimal() and 0 < int(part) <= _MAX_SIZE for part in parts):
        return ()
    return tuple(int(part) for part in parts)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by blanks or commas, also in brackets.

    Raises:
        ValueError: something else stands there.
    """
    return tuple(float(part) for part in text.strip().strip("[]()").replace(",", " ").split())
