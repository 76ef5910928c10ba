"""Read a YAML file into plain values together with the position of every key.

Duplicate keys are errors (PyYAML would keep the last one silently).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from bpu_common.errors import ConfigError

_MAX_BYTES = 64 << 10
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration: a full sentence, its place, the next step if any."""

    sentence: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.sentence}" if self.where else self.sentence
        return f"{text}\n  hint: {self.hint}" if self.hint else text


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
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration file: {error.strerror}",
            where=str(path),
            hint="give an existing file with -c / --config",
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(
            f"a configuration has at most {_MAX_BYTES} bytes, this file has more",
            where=str(path),
            hint="give the YAML file with -c / --config",
        )
    try:
        loader = _Loader(_decode(data, path), file)
        root = loader.get_single_node()
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
        values = cast("dict[str, Any]", _joined(loader.construct_document(root)))
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


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases and merge keys.

    A few kilobytes of them unfold to gigabytes, and no configuration of the vendor's has any.
    """

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self._file = file

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        """The next node; `index` is its place in its parent."""
        if self.check_event(yaml.AliasEvent):
            mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise self._refusal("aliases (*name)", mark)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """What a mapping takes over from others: nothing."""
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise self._refusal("merge keys (<<)", key.start_mark)
        super().flatten_mapping(node)

    def _refusal(self, what: str, mark: yaml.Mark) -> ConfigError:
        return ConfigError(
            f"{what} are not read",
            where=f"{self._file}:{mark.line + 1}:{mark.column + 1}",
            hint="write the values out",
        )


def _decode(data: bytes, path: Path) -> str:
    """The text of a file: UTF-8, or what a byte order mark in front says."""
    coding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"the file is not UTF-8 text: byte {data[error.start]:#04x}",
            where=f"{path.name}:{line}",
            hint=f"save the file as UTF-8, for example: iconv -f GBK -t UTF-8 {path.name}",
        ) from error


def _joined(value: object) -> object:  # raw YAML
    """Characters that JSON wrote as two halves (`\\ud83d\\ude00`) become one again.

    Raises:
        ValueError: half a character alone; it cannot be printed or written.
    """
    if isinstance(value, str):
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError(f"{value!r} holds half a character") from None
    if isinstance(value, list):
        return [_joined(item) for item in value]
    if isinstance(value, dict):
        return {_joined(key): _joined(item) for key, item in value.items()}
    return value


def _walk(
    node: yaml.Node, prefix: str, file: str, locations: dict[str, str], problems: list[Problem]
) -> None:
    if not isinstance(node, yaml.MappingNode) or prefix.count(".") > 3:
        return
    for key, value in node.value:
        name = str(_joined(f"{prefix}.{key.value}" if prefix else key.value))
        place = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if name in locations:
            first = locations[name].rsplit(":", 2)[1]
            problems.append(Problem(f"{name}: written twice, first in line {first}", place))
            continue
        locations[name] = place
        _walk(value, name, file, locations, problems)
