"""Rules that values from a file must keep, stated as sentences about what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from bpu_common.errors import ModelFormatError


class BrokenRuleError(Exception):
    """A rule that a value breaks; `placed` makes a ModelFormatError of it.

    Attributes:
        field: part of the value that breaks it; may be empty.
    """

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def require(holds: bool, sentence: str, field: str = "") -> None:
    if not holds:
        raise BrokenRuleError(sentence, field)


def in_range(what: str, value: int, least: int, most: int, field: str = "") -> None:
    if not least <= value <= most:
        raise BrokenRuleError(f"{what} {value} is outside {least} to {most}", field)


def unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        require(name not in seen, f"two {what}s are called {name!r}")
        seen.add(name)


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Give broken rules within their place.

    Raises:
        ModelFormatError: a rule is broken; `where` is `<where>.<field>`.
    """
    try:
        yield
    except BrokenRuleError as broken:
        place = f"{where}.{broken.field}" if broken.field else where
        raise ModelFormatError(str(broken), where=place) from None
