"""`load_config`: YAML file -> CompileConfig, all problems reported at once.

What only a right file needs is imported when the file is right.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bpu_common.errors import BpuError
from bpu_host.compiler.config.conditions import InputRow, check
from bpu_host.compiler.config.document import Problem, read_document
from bpu_host.compiler.config.form import Groups, validate
from bpu_host.compiler.config.report import Report
from bpu_host.compiler.config.schema import MODEL_FILES

if TYPE_CHECKING:
    from bpu_host.compiler.config.model_inputs import ModelInputs
    from bpu_host.compiler.config.values import CompileConfig

InputsOf: TypeAlias = "Callable[[CompileConfig], ModelInputs]"
"""The inputs of the model that a configuration names; may raise BpuError."""

_OF_THE_INPUTS = frozenset(
    f"input_parameters.input_{name}"
    for name in ("name", "type_train", "type_rt", "layout_train", "shape")
) | {f"model_parameters.{key}" for keys in MODEL_FILES.values() for key in keys}
"""Keys that decide what an input of the model looks like."""


def load_config(
    path: Path, inputs_of: InputsOf | None = None, model_type: str | None = None
) -> CompileConfig:
    """Read and check a `makertbin` configuration.

    Paths in the file are relative to the current directory, as the vendor's tool takes them.

    Args:
        inputs_of: looks into the model. It is asked only if something is wrong in the file, so
            that what does not fit the model is told in the same run (else `resolve` tells it).
        model_type: `onnx`, or `caffe` for a prototxt and a caffemodel; None: what the file names.

    Raises:
        ConfigError: its message lists every problem, one a line, each with `file:line:col`.
    """
    report = Report(read_document(path))
    groups = validate(report, model_type)
    rows = check(groups, report)
    if not report.problems:
        from bpu_host.compiler.config.build import build

        return build(groups, rows, report)
    if inputs_of and rows and not report.broken & _OF_THE_INPUTS:
        _compare_with_model(groups, rows, report, inputs_of)
    raise report.error()


def _compare_with_model(
    groups: Groups, rows: tuple[InputRow, ...], report: Report, inputs_of: InputsOf
) -> None:
    """Add what does not fit the model, if it can be read, at places without another problem."""
    from bpu_host.compiler.config.build import outline
    from bpu_host.compiler.config.model_inputs import fit_to_model
    from bpu_host.compiler.config.values import compare

    config = outline(groups, rows, report)
    try:
        model = inputs_of(config)
        known = fit_to_model(config, model.dtypes, model.unread)
        _, errors = compare(known, model.inputs)
    except BpuError:  # told when the file itself is right
        return
    told = {problem.where for problem in report.problems}
    report.problems += [
        Problem(error.message, error.where, error.hint)
        for error in errors
        if error.where not in told
    ]
