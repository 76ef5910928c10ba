"""`hb_mapper init`: a configuration to start from, written for one model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from bpu_common.errors import UsageError
from bpu_common.files import writing
from bpu_host.cli.mapper_log import logger
from bpu_host.compiler.config.sample import guess, sample_advice, write_sample
from bpu_host.compiler.config.values import CompileConfig
from bpu_host.compiler.frontend import read

_ODD = re.compile(r"[^\w.-]+")
_MAX_PREFIX = 60


def run(model: Path, prototxt: Path | None, output: Path | None) -> None:
    """Write the configuration; never over a file that is there.

    A `prototxt` makes it that of a Caffe model.

    Raises:
        ModelFormatError, ModelUnsupported: the model cannot be read.
        UsageError: the output exists or cannot be written.
        CapacityError: the disk is full.
    """
    target = output or Path(f"{model.stem}.yaml")
    prefix = _ODD.sub("_", model.stem).strip("._")[:_MAX_PREFIX] or "model"
    config = CompileConfig(model, prefix, Path("model_output"), (), prototxt)
    source = read(config)
    inputs = tuple(guess(name, shape, config.model_type) for name, shape in source.inputs)
    paths = (model,) if prototxt is None else (prototxt, model)
    text = write_sample(config.model_type, tuple(map(_path, paths)), prefix, inputs)
    with writing(target, otherwise="give another --output"):
        _write_new(target, text)
    if marked := text.count("CHECK: "):
        lines = f"{marked} lines" if marked > 1 else "line"
        logger.info("%s was written; look at its %s marked CHECK", target, lines)
    else:
        logger.info("%s was written; no line of it is marked CHECK", target)
    for line in sample_advice(inputs):
        logger.info("calibration samples: %s", line)
    command = f"hb_mapper makertbin --model-type {config.model_type}"
    logger.info("then: %s -c %s", command, shlex.quote(str(target)))


def _write_new(target: Path, text: str) -> None:
    """A file of this text, or none.

    Raises:
        UsageError: the file is there.
        OSError: it cannot be written.
    """
    try:
        file = target.open("x", encoding="utf-8")
    except FileExistsError:
        raise UsageError(
            "is there already and stays as it is", where=str(target), hint="give another --output"
        ) from None
    try:
        with file:
            file.write(text)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _path(model: Path) -> str:
    """The model's path as a configuration takes it.

    Raises:
        UsageError: the name is not UTF-8.
    """
    text = str(model)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "the name of the file is not UTF-8 text", where=ascii(text), hint="rename the model"
        ) from error
    return f"./{text}" if text.startswith("~") else text
