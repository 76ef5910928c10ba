"""What `hb_mapper checker` and `hb_mapper makertbin` do, once the command line is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bpu_common import __version__
from bpu_common.errors import ConfigError, UsageError
from bpu_common.tensor import InputType, Layout
from bpu_host.cli.mapper_log import EventLog, Progress, logger, set_file_level
from bpu_host.compiler.api import Compiled, compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig, load_config
from bpu_host.compiler.config.document import read_document
from bpu_host.compiler.frontend import FloatModel, read
from bpu_host.compiler.products import ProductNames
from bpu_host.compiler.report import (
    checker_table,
    cpu_groups,
    cpu_reasons,
    node_table,
    output_table,
)

CHECK_FOLDER = Path(".hb_check")
CAFFE_SENTENCE = (
    "Caffe models are not read yet; convert the model to ONNX and use --model-type onnx"
)


def check(
    model: Path, shapes: Mapping[str, tuple[int, ...]], machine: str, progress: Progress
) -> None:
    """`hb_mapper checker`: convert with one sample of noise and featuremap inputs, at O0."""
    logger.info("Start hb_mapper....")
    logger.info("hb_mapper (OpenBPU) version %s", __version__)
    logger.info("Model type: onnx")
    logger.info("input names %s", list(shapes))
    logger.info("input shapes %s", {name: list(shape) for name, shape in shapes.items()})
    logger.info("Begin model checking....")
    config = CompileConfig(
        model_path=model,
        prefix="checker",
        working_dir=CHECK_FOLDER,
        inputs=(),
        machine=machine,
        calibration_method=CalibrationMethod.MAX,
        optimize_level="O0",
    )
    source = read(config)
    config = replace(config, inputs=_featuremaps(source, shapes))
    with EventLog(progress) as events:
        compiled = compile_model(
            config, events, ProductNames.of_checker(), source=source, measure=False
        )
    _log_reasons(cpu_reasons(compiled.verdicts, compiled.network))
    logger.info("The converted model node information:\n%s", checker_table(compiled.nodes))
    logger.info("ONNX model output num : %d", len(compiled.model.outputs))
    logger.info("End model checking....")


def _featuremaps(
    source: FloatModel, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[InputConfig, ...]:
    """The inputs of a model that nobody has described yet."""
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


def make(config_file: Path, machine: str | None, progress: Progress) -> Compiled:
    """`hb_mapper makertbin`: everything, from a YAML file; `machine` wins over the file's."""
    logger.info("Start hb_mapper....")
    logger.info("hb_mapper (OpenBPU) version %s", __version__)
    try:
        config = load_config(config_file, lambda config: read(config).inputs)
    except ConfigError as error:
        error.add_note("yaml file parse failed. Please double check your input")
        raise
    if machine is not None:
        config = replace(config, machine=machine)
    set_file_level(config.log_level)
    logger.info("Start Model Convert....")
    logger.info("Using onnx model file: %s", config.model_path)
    logger.info("Model has %d inputs according to the configuration", len(config.inputs))
    for sentence in config.notes:
        logger.info(sentence)
    logger.debug("Dump config: %s", read_document(config_file).values)
    for item in config.inputs:
        logger.info(
            "input %s: runtime type %s, source %s",
            item.name or "(the only one)",
            item.rt_type.value,
            item.source.value,
        )
    with EventLog(progress) as events:
        compiled = compile_model(config, events)
    for estimate in compiled.estimates:
        logger.info(
            "%s: FPS=%.2f, latency = %.1f us, DDR = %d bytes",
            estimate.name,
            estimate.frames_per_second,
            estimate.latency_us,
            estimate.ddr_bytes,
        )
    _log_reasons(cpu_groups(compiled.verdicts, compiled.network))
    logger.info("The converted model node information:\n%s", node_table(compiled.nodes))
    logger.info("The quantify model output:\n%s", output_table(compiled.outputs))
    logger.info("ONNX model output num : %d", len(compiled.model.outputs))
    for path in compiled.files:
        logger.info("%s, %d bytes", path, path.stat().st_size)
    logger.info("Convert to runtime bin file successfully!")
    for finding in compiled.findings:
        logger.warning("%s", finding)
    logger.info("End Model Convert")
    return compiled
