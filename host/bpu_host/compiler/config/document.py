"""Read a YAML file into plain values together with the position of every key.

Duplicate keys are errors (PyYAML would keep the last one silently).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bpu_common.errors import ConfigError

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: a full sentence, its place in front."""

    sentence: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}" if self.where else self.sentence


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        values: the top-level mapping.
        locations: dotted key path -> `file:line:col` of the key.
        problems: duplicate keys found on the way.
    """

    file: str
    values: dict[str, Any]  # YAML is untyped until the schema has seen it
    locations: dict[str, str]
    problems: tuple[Problem, ...]


def read_document(path: Path) -> Document:
    """Parse `path`.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, or not a mapping of groups.
    """
    file = path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration file: {error.strerror}",
            where=str(path),
            hint="give an existing file with -c / --config",
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError("a configuration file above 1 MiB is not plausible", where=str(path))
    try:
        text = data.decode("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise ConfigError("the configuration file is empty", where=str(path))
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                "a configuration consists of groups such as 'model_parameters:'",
                where=f"{file}:{root.start_mark.line + 1}:{root.start_mark.column + 1}",
            )
        locations: dict[str, str] = {}
        problems: list[Problem] = []
        _walk(root, "", file, locations, problems)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8 text", where=str(path)) from error
    except RecursionError as error:
        raise ConfigError("the file nests too deeply", where=str(path)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        detail = error.problem or error.context or "syntax error"
        raise ConfigError(f"not valid YAML: {detail}", where=place) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=file) from error
    return Document(file, values, locations, tuple(problems))


def _walk(
    node: yaml.Node, prefix: str, file: str, locations: dict[str, str], problems: list[Problem]
) -> None:
    if not isinstance(node, yaml.MappingNode) or prefix.count(".") > 3:
        return
    for key, value in node.value:
        name = f"{prefix}.{key.value}" if prefix else str(key.value)
        place = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if name in locations:
            first = locations[name].rsplit(":", 2)[1]
            problems.append(Problem(f"{name}: written twice, first in line {first}", place))
            continue
        locations[name] = place
        _walk(value, name, file, locations, problems)
