"""`load_config`: YAML file -> CompileConfig, all problems reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bpu_common.errors import ConfigError
from bpu_host.compiler.config.conditions import build
from bpu_host.compiler.config.document import Document, Problem, read_document
from bpu_host.compiler.config.refused import TABLE
from bpu_host.compiler.config.schema import GROUPS, REQUIRED_GROUPS
from bpu_host.compiler.config.values import CompileConfig


def load_config(path: Path) -> CompileConfig:
    """Read and check a `makertbin` configuration for an ONNX model.

    Paths in the file are relative to the current directory, as the vendor's tool takes them.

    Raises:
        ConfigError: its message lists every problem, one a line, each with `file:line:col`.
    """
    document = read_document(path)
    problems = list(document.problems)
    groups = _validate(document, problems)
    if len(groups) == len([name for name in GROUPS if name in document.values]):
        problems += _refusals(document, groups)
    config = None
    if not problems:
        config = build(document, groups, problems)
    if problems or config is None:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    return config


def _validate(document: Document, problems: list[Problem]) -> dict[str, BaseModel]:
    groups: dict[str, BaseModel] = {}
    problems += [
        Problem(
            f"{name}: unknown group{_nearest(str(name), list(GROUPS))}",
            document.locations.get(str(name), document.file),
        )
        for name in document.values
        if name not in GROUPS
    ]
    absent = [name for name in REQUIRED_GROUPS if document.values.get(name) is None]
    if absent:
        problems.append(Problem(_missing(absent, document.file)))
    for name, model in GROUPS.items():
        values = document.values.get(name)
        if values is None:
            if name == "custom_op" and name in document.values:
                groups[name] = model()
            continue
        place = document.locations.get(name, document.file)
        if not isinstance(values, Mapping):
            problems.append(Problem(f"{name}: must hold keys and values", place))
            continue
        given = {str(key): value for key, value in values.items() if value is not None}
        try:
            groups[name] = model.model_validate(given)
        except ValidationError as error:
            problems += _explain(document, name, model, error)
    return groups


def _explain(
    document: Document, group: str, model: type[BaseModel], error: ValidationError
) -> list[Problem]:
    problems: list[Problem] = []
    missing = sorted(str(item["loc"][0]) for item in error.errors() if item["type"] == "missing")
    place = document.locations.get(group, document.file)
    if missing:
        problems.append(Problem(f"Key '{group}' error:\n{_missing(missing, place)}"))
    for item in error.errors():
        if item["type"] == "missing":
            continue
        key = str(item["loc"][0])
        where = document.locations.get(f"{group}.{key}", place)
        if item["type"] == "extra_forbidden":
            text = f"unknown key{_nearest(key, list(model.model_fields))}"
        else:
            text = f"{item['msg']} (got {item['input']!r})"
        problems.append(Problem(f"{group}.{key}: {text}", where))
    return problems


def _missing(keys: list[str], place: str) -> str:
    return f"Missing keys: {', '.join(repr(key) for key in keys)} ({place})"


def _nearest(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def _refusals(document: Document, groups: dict[str, BaseModel]) -> list[Problem]:
    problems = []
    for refusal in TABLE:
        group, key = refusal.key.split(".")
        if group not in groups:
            continue
        value: Any = getattr(groups[group], key)  # typed by the schema of its group
        if refusal.refuses(value):
            where = document.locations.get(refusal.key, document.file)
            problems.append(Problem(f"{refusal.key}: {refusal.sentence}", where))
    return problems
