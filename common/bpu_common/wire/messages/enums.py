"""Members of enums <-> numbers in messages, by their names."""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeVar

from google.protobuf.descriptor import EnumDescriptor

from bpu_common.errors import ModelFormatError

_E = TypeVar("_E", bound=Enum)


def numbers_of(kind: type[_E], descriptor: EnumDescriptor) -> dict[_E, int]:
    """Member -> number; `InputType.NV12` is `INPUT_TYPE_NV12`, `DType.INT8` is `DTYPE_INT8`.

    Raises:
        TypeError: not every value of the messages' enum is a member, or the other way round.
    """
    values = descriptor.values_by_name
    own, spaced = descriptor.name.upper(), snake_case(descriptor.name).upper()
    prefix = own if all(name.startswith(f"{own}_") for name in values) else spaced
    names = {f"{prefix}_{member.name}": member for member in kind}
    if set(names) != set(values):
        differing = ", ".join(sorted(set(names) ^ set(values)))
        raise TypeError(f"{kind.__name__} and its messages differ in {differing}")
    return {member: values[name].number for name, member in names.items()}


class Members(dict[int, Enum]):
    """Number -> member.

    Args:
        fallback: what numbers that are not known stand for; None: they are a ModelFormatError.
    """

    def __init__(self, kind: type[Enum], descriptor: EnumDescriptor, fallback: Enum | None) -> None:
        super().__init__(
            {number: member for member, number in numbers_of(kind, descriptor).items()}
        )
        self._what = kind.__name__
        self._fallback = fallback

    def __missing__(self, number: int) -> Enum:
        if self._fallback is None:
            raise ModelFormatError(f"{self._what} {number} is not known")
        return self._fallback


def snake_case(name: str) -> str:
    """`SnakeCase` -> `snake_case`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
