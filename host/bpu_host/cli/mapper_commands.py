"""What `hb_mapper checker` and `hb_mapper makertbin` do, once the command line is read.

The compiler takes seconds to import: it is not, before the configuration is known to be right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bpu_common import __version__
from bpu_common.errors import ConfigError, UsageError
from bpu_common.words import counted
from bpu_host.cli.mapper_log import Progress, logger, set_file_level
from bpu_host.compiler.config import load_config
from bpu_host.compiler.config.document import read_document

if TYPE_CHECKING:
    from bpu_host.compiler.api import Compiled
    from bpu_host.compiler.config import CompileConfig, InputConfig
    from bpu_host.compiler.config.model_inputs import ModelInputs
    from bpu_host.compiler.findings import Finding
    from bpu_host.compiler.frontend import FloatModel

CHECK_FOLDER = Path(".hb_check")
CHECK_LEVEL = "O0"
"""Optimization of the checker's program: it is made quickly, and is not the fastest."""


def check_kind(model_type: str, prototxt: Path | None) -> None:
    """A Caffe model is two files, any other one.

    Raises:
        UsageError: it is not.
    """
    if prototxt and model_type != "caffe":
        raise UsageError("--proto belongs to --model-type caffe", where="--proto")
    if not prototxt and model_type == "caffe":
        raise UsageError("--model-type caffe needs the .prototxt as well", where="--proto")


def check(
    model: Path,
    prototxt: Path | None,
    shapes: Mapping[str, tuple[int, ...]],
    machine: str,
    progress: Progress,
) -> Compiled:
    """`hb_mapper checker`: convert with one sample of noise and featuremap inputs, at O0.

    Its findings are those that need no samples of the user's. `prototxt` makes it a Caffe model.
    """
    from bpu_host.compiler.config import CalibrationMethod, CompileConfig
    from bpu_host.compiler.frontend import read

    logger.info("Start hb_mapper....")
    logger.info("hb_mapper (OpenBPU) version %s", __version__)
    config = CompileConfig(
        model_path=model,
        prototxt=prototxt,
        prefix="checker",
        working_dir=CHECK_FOLDER,
        inputs=(),
        machine=machine,
        calibration_method=CalibrationMethod.MAX,
        optimize_level=CHECK_LEVEL,
    )
    logger.info("Model type: %s", config.model_type)
    logger.info("input names %s", list(shapes))
    logger.info("input shapes %s", {name: list(shape) for name, shape in shapes.items()})
    logger.info("Begin model checking....")
    source = read(config, shapes)
    config = replace(config, inputs=_featuremaps(source, shapes))
    from bpu_host.cli.mapper_events import EventLog
    from bpu_host.compiler.api import compile_model
    from bpu_host.compiler.estimate_text import estimate_text
    from bpu_host.compiler.products import ProductNames
    from bpu_host.compiler.report import checker_table, cpu_reasons

    with EventLog(progress) as events:
        compiled = compile_model(
            config, events, ProductNames.of_checker(), source=source, measure=False
        )
    _log_reasons(cpu_reasons(compiled.causes))
    logger.info("The converted model node information:\n%s", checker_table(compiled.nodes))
    logger.info("ONNX model output num : %d", len(compiled.model.outputs))
    logger.info("%s", estimate_text(compiled.estimate, CHECK_LEVEL))
    logger.info("End model checking....")
    return compiled


def check_json(compiled: Compiled) -> str:
    """What `check` found, for programs."""
    import json

    from bpu_host.compiler.estimate_text import estimate_json

    nodes = [
        {"name": node.name, "on": node.on, "subgraph": node.subgraph, "op_type": node.op_type}
        for node in compiled.nodes
    ]
    found = {
        "version": __version__,
        "inputs": [item.tensor.name for item in compiled.model.inputs],
        "outputs": [output.name for output in compiled.model.outputs],
        "nodes": nodes,
        "causes": [asdict(cause) for cause in compiled.causes],
        "findings": [asdict(finding) for finding in compiled.findings],
        "estimate": estimate_json(compiled.estimate, CHECK_LEVEL),
    }
    return json.dumps(found, ensure_ascii=False, allow_nan=False)


def _featuremaps(
    source: FloatModel, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[InputConfig, ...]:
    """The inputs of a model that nobody has described yet."""
    from bpu_common.tensor import InputType, Layout
    from bpu_host.compiler.config import InputConfig

    names = [name for name, _ in source.inputs]
    for name in shapes:
        if name not in names:
            raise UsageError(
                f"--input-shape names '{name}', which is no input of the model",
                where=source.file,
                hint=f"its inputs are {', '.join(names)}",
            )
    return tuple(
        InputConfig(
            name=name,
            shape=shapes.get(name, ()),
            train_type=InputType.FEATUREMAP,
            train_layout=Layout.NCHW,
            rt_type=InputType.FEATUREMAP,
            rt_layout=Layout.NCHW,
        )
        for name in names
    )


def _log_reasons(reasons: str) -> None:
    if reasons:
        logger.info("These nodes run on the CPU:\n%s", reasons)


def _configuration(file: Path, model_type: str, begin: Callable[[], None]) -> CompileConfig:
    """The configuration in a file; only if it is wrong the model is asked what else is."""

    def inputs_of(config: CompileConfig) -> ModelInputs:
        begin()
        from bpu_host.compiler.config.model_inputs import ModelInputs
        from bpu_host.compiler.frontend import read

        source = read(config)
        return ModelInputs(source.inputs, source.dtypes, source.unread)

    try:
        return load_config(file, inputs_of, model_type)
    except ConfigError as error:
        error.add_note("yaml file parse failed. Please double check your input")
        raise


def _log_configuration(config: CompileConfig, file: Path) -> None:
    """What a conversion begins with."""
    logger.info("Start Model Convert....")
    logger.info("Using %s model file: %s", config.model_type, config.model_path)
    if config.prototxt is not None:
        logger.info("Using caffe prototxt file: %s", config.prototxt)
    logger.info("Model has %d inputs according to the configuration", len(config.inputs))
    for sentence in config.notes:
        logger.info(sentence)
    logger.debug("Dump config: %s", read_document(file).values)
    for item in config.inputs:
        logger.info(
            "input %s: runtime type %s, source %s",
            item.name or "(the only one)",
            item.rt_type.value,
            item.source.value,
        )


def make(
    config_file: Path,
    model_type: str,
    machine: str | None,
    strict: bool,
    progress: Progress,
    begin: Callable[[], None],
) -> Compiled:
    """`hb_mapper makertbin`: everything, from a YAML file.

    Args:
        machine: wins over the file's.
        strict: a conversion with findings fails.
        begin: called before anything looks into the model.
    """
    logger.info("Start hb_mapper....")
    logger.info("hb_mapper (OpenBPU) version %s", __version__)
    config = _configuration(config_file, model_type, begin)
    begin()
    if machine is not None:
        config = replace(config, machine=machine)
    set_file_level(config.log_level)
    _log_configuration(config, config_file)
    from bpu_host.cli.mapper_events import EventLog
    from bpu_host.compiler.api import compile_model
    from bpu_host.compiler.estimate_text import estimate_text
    from bpu_host.compiler.report import cpu_groups, node_table, output_table

    with EventLog(progress) as events:
        compiled = compile_model(config, events, strict=strict)
    for estimate in compiled.estimate.parts:
        logger.info(
            "%s: FPS=%.2f, latency = %.1f us, DDR = %d bytes",
            estimate.name,
            estimate.frames_per_second,
            estimate.latency_us,
            estimate.ddr_bytes,
        )
    _log_reasons(cpu_groups(compiled.causes))
    logger.info("The converted model node information:\n%s", node_table(compiled.nodes))
    logger.info("The quantify model output:\n%s", output_table(compiled.outputs))
    logger.info("ONNX model output num : %d", len(compiled.model.outputs))
    for path in compiled.files:
        logger.info("%s, %d bytes", path, path.stat().st_size)
    logger.info("%s", estimate_text(compiled.estimate, config.optimize_level))
    logger.info("Convert to runtime bin file successfully!")
    logger.info("End Model Convert")
    log_findings(compiled.findings)
    return compiled


def log_findings(findings: Sequence[Finding]) -> None:
    """The warnings, as the last thing on the screen."""
    if findings:
        count = counted(len(findings), "warning")
        logger.warning("%s about this conversion (errors with --strict):", count)
    for finding in findings:
        logger.warning("%s", finding)
