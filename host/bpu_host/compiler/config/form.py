"""Problems of form: groups, keys, types and ranges, each against the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bpu_host.compiler.config.document import Document, Problem
from bpu_host.compiler.config.keys import Key, keys
from bpu_host.compiler.config.nearest import nearest
from bpu_host.compiler.config.refused import TABLE
from bpu_host.compiler.config.report import MAX_PROBLEMS, Report
from bpu_host.compiler.config.schema import (
    GROUPS,
    MODEL_FILES,
    REQUIRED_GROUPS,
    CalibrationParameters,
    CompilerParameters,
    CustomOp,
    Group,
    InputParameters,
    ModelParameters,
)
from bpu_host.compiler.config.writing import is_blank


@dataclass(frozen=True, slots=True)
class Groups:
    """A configuration as the schema sees it; keys that are `broken` hold stand-ins."""

    model: ModelParameters
    inputs: InputParameters
    calibration: CalibrationParameters
    compiler: CompilerParameters
    custom_op: CustomOp


def validate(report: Report, model_type: str | None) -> Groups:
    """Check each group; what is wrong goes into the report.

    Args:
        model_type: one of MODEL_FILES; None: the kind whose files the document names.
    """
    document = report.document
    model_type = model_type or _named_type(document)
    for name in document.values:
        if name not in GROUPS:
            sentence = f"{name}: unknown group{_meant(str(name), GROUPS, report)}"
            report.problems.append(Problem(sentence, report.place(str(name))))
    absent = [name for name in REQUIRED_GROUPS if document.values.get(name) is None]
    if absent:
        report.problems.append(Problem(_missing(absent, document.file)))
    table = keys()
    needed = {"model_parameters": MODEL_FILES[model_type]}
    found = {
        name: _group(name, document.values.get(name), table, report, needed.get(name, ()))
        for name in GROUPS
    }
    _refuse_other_files(found["model_parameters"], model_type, report)
    _refuse(found, report)
    return Groups(
        cast("ModelParameters", found["model_parameters"]),
        cast("InputParameters", found["input_parameters"]),
        cast("CalibrationParameters", found["calibration_parameters"]),
        cast("CompilerParameters", found["compiler_parameters"]),
        cast("CustomOp", found["custom_op"]),
    )


def _named_type(document: Document) -> str:
    """The kind of model whose files a document names; ONNX where it names none, or several."""
    named = [
        kind
        for kind, files in MODEL_FILES.items()
        if any(f"model_parameters.{key}" in document.locations for key in files)
    ]
    return named[0] if named else "onnx"


def _group(
    name: str,
    values: object,
    table: Mapping[str, Key],
    report: Report,
    needed: tuple[str, ...],
) -> Group:
    """One group; `needed` are keys that this model needs beyond those that all need."""
    model = GROUPS[name]
    told = values is not None  # an absent group is told as one, not key by key
    if values is not None and not isinstance(values, Mapping):
        report.problems.append(Problem(f"{name}: must hold keys and values", report.place(name)))
        values, told = None, False
    given = {str(key): value for key, value in (values or {}).items() if not is_blank(value)}
    wrong: list[ErrorDetails] = []
    try:
        found = model.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()
    missing = [str(item["loc"][0]) for item in wrong if item["type"] == "missing"]
    missing = [*(key for key in needed if key not in given), *missing]
    if not wrong and not missing:
        return found
    if told:
        _explain(name, missing, wrong, table, report)
    bad = {str(item["loc"][0]) for item in wrong} | set(missing)
    report.broken |= {f"{name}.{key}" for key in bad}
    usable = {key: value for key, value in given.items() if key not in bad}
    usable |= {
        key: table[f"{name}.{key}"].example
        for key in bad & set(model.model_fields)
        if key in needed or table[f"{name}.{key}"].required
    }
    return model.model_validate(usable)


def _explain(
    group: str,
    missing: list[str],
    wrong: list[ErrorDetails],
    table: Mapping[str, Key],
    report: Report,
) -> None:
    if missing:
        sentence = f"Key '{group}' error:\n{_missing(sorted(missing), report.place(group))}"
        report.problems.append(Problem(sentence))
    for name in missing:
        key = table[f"{group}.{name}"]
        report.problem(
            f"{group}.{name}", f"{key.meaning}; {key.takes}, for example {key.example!r}"
        )
    for item in wrong:
        name = str(item["loc"][0])
        if item["type"] == "missing":
            continue
        if item["type"] == "extra_forbidden":
            text = f"unknown key{_meant(name, GROUPS[group].model_fields, report)}"
        else:
            text = _wrong_value(item, table[f"{group}.{name}"])
        report.problem(f"{group}.{name}", text)


def _meant(name: str, known: Iterable[str], report: Report) -> str:
    """The end of the sentence about an unknown name that is told; finding it takes a while."""
    return nearest(name, known) if len(report.problems) < MAX_PROBLEMS else ""


def _wrong_value(item: ErrorDetails, key: Key) -> str:
    value: Any = item["input"]
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    found = nearest(value, key.choices) if isinstance(value, str) else ""
    return f"{value!r:.80} is not possible: {key.takes}{found}"


def _missing(names: list[str], place: str) -> str:
    return f"Missing keys: {', '.join(map(repr, names))} ({place})"


def _refuse_other_files(group: Group, model_type: str, report: Report) -> None:
    """Files of another kind of model, beside which nobody knows which model is meant."""
    for other, keys_of in MODEL_FILES.items():
        for key in keys_of if other != model_type else ():
            if getattr(group, key):
                report.problem(
                    f"model_parameters.{key}",
                    f"belongs to --model-type {other}, which is {model_type}",
                    hint=f"delete the key, or give --model-type {other}",
                )


def _refuse(groups: Mapping[str, Group], report: Report) -> None:
    """What is valid but not carried out."""
    for refusal in TABLE:
        group, key = refusal.key.split(".")
        if refusal.refuses(getattr(groups[group], key)):
            report.problem(refusal.key, refusal.sentence)
