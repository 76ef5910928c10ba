"""The schema as data: what each key means and takes, for messages and for docs/yaml.md."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from bpu_host.compiler.config.schema import GROUPS, Info

_OF_INPUTS = ("input_parameters.", "calibration_parameters.cal_data_")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the YAML.

    Attributes:
        path: `group.key`.
        required: a file without it is refused.
        default: what counts when it is not given; None: nothing.
        values: what it takes, in words.
        per_input: whether it takes one value per input.
        choices: the words it takes, if they are few.
        when: the condition it depends on; empty: none.
        example: a value as it may stand in a file; None: there is none.
    """

    path: str
    meaning: str
    required: bool
    default: object
    values: str
    per_input: bool
    choices: tuple[str, ...]
    when: str
    example: object

    @property
    def takes(self) -> str:
        """What may be written, in words."""
        return self.values + ("; one per input, separated by ';'" if self.per_input else "")


def keys() -> dict[str, Key]:
    """Every key by `group.key`, in the order of the schema."""
    return {
        f"{group}.{name}": _key(f"{group}.{name}", field)
        for group, model in GROUPS.items()
        for name, field in model.model_fields.items()
    }


def _key(path: str, field: FieldInfo) -> Key:
    (info,) = [each for each in field.metadata if isinstance(each, Info)]
    kind, limits, several = _kind(field.annotation, field.metadata)
    return Key(
        path=path,
        meaning=info.meaning,
        required=field.is_required(),
        default=None if field.is_required() else field.default,
        values=_words(kind, limits),
        per_input=several and path.startswith(_OF_INPUTS),
        choices=choices(kind),
        when=info.when,
        example=field.default if info.example is None else info.example,
    )


def _kind(annotation: object, limits: list[object]) -> tuple[object, list[object], bool]:
    """The type inside lists, options and annotations, its limits, and whether it is a list."""
    several = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            limits = limits + more
        elif origin in (Union, UnionType):
            (annotation,) = [each for each in get_args(annotation) if each is not type(None)]
        elif origin is list:
            (annotation,), several = get_args(annotation), True
        else:
            return annotation, limits, several


def choices(kind: object) -> tuple[str, ...]:
    """The words of a Literal; empty for other types."""
    return tuple(str(each) for each in get_args(kind)) if get_origin(kind) is Literal else ()


def _words(kind: object, limits: list[object]) -> str:
    if words := choices(kind):
        return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    if kind is bool:
        return "True or False"
    if kind in (int, float):
        number = "a whole number" if kind is int else "a number"
        found = {name: value for each in limits for name, value in _bounds(each).items()}
        low = f" from {found['ge']:g}" if "ge" in found else f" above {found['gt']:g}"
        return number + low + (f" to {found['le']}" if "le" in found else "")
    return "a mapping" if get_origin(kind) is dict else "text"


def _bounds(limit: object) -> dict[str, float]:
    """The bounds that one annotation sets; a Field holds them in a list of its own."""
    inner = getattr(limit, "metadata", [limit])
    return {
        name: value
        for each in inner
        for name in ("ge", "gt", "le")
        if (value := getattr(each, name, None)) is not None
    }
