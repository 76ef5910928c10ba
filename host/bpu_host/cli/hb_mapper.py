"""`hb_mapper`: check a float model, write a configuration, make calibration data, convert.

Nothing heavy is imported until a command runs.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from bpu_common import __version__
from bpu_common.interrupted import interruptible
from bpu_common.machine import DEFAULT_MACHINE, MACHINES

if TYPE_CHECKING:
    from bpu_common.pictures import Interpolation
    from bpu_host.cli.mapper_log import Progress

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
MODEL_TYPE = click.option(
    "--model-type",
    "--model_type",
    "model_type",
    type=click.Choice(["onnx", "caffe"], case_sensitive=False),
    required=True,
    help="Kind of model.",
)
PROTO = click.option(
    "--proto", type=click.Path(path_type=Path), help="The .prototxt of a Caffe model."
)
MACHINE = click.Choice(list(MACHINES), case_sensitive=False)
MARCHES = click.Choice(["bernoulli2"], case_sensitive=False)


class _Commands(click.Group):
    """Those of `hb_mapper`; click itself would end an interrupted one with 1."""

    @interruptible()
    def invoke(self, ctx: click.Context) -> object:
        return super().invoke(ctx)


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.version_option(__version__, message="hb_mapper (OpenBPU) %(version)s")
def cli() -> None:
    """Convert float models into programs for the X3/J3 BPU.

    \b
    Examples:
      hb_mapper checker --model-type onnx --model net.onnx
      hb_mapper init net.onnx
      hb_mapper caldata --input photos/ --output cal_data_f32 --size 224x224
      hb_mapper makertbin --model-type onnx --config net.yaml
    """


@cli.command()
@MODEL_TYPE
@click.option(
    "--march",
    type=MARCHES,
    default="bernoulli2",
    show_default=True,
    help="Architecture of the chip (X3 and J3: bernoulli2).",
)
@click.option(
    "--machine", type=MACHINE, default=DEFAULT_MACHINE.name, show_default=True, help="The chip."
)
@PROTO
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    required=True,
    help="The model file: .onnx, or .caffemodel.",
)
@click.option(
    "--input-shape",
    "--input_shape",
    "input_shapes",
    nargs=2,
    multiple=True,
    metavar="NAME SHAPE",
    help="Shape of one input, e.g. `data1 1x224x224x3`; repeat for others. Wins over the "
    "shape in the model.",
)
@click.option("--output", type=click.Path(), help="Without effect: see hb_mapper_checker.log.")
@click.option(
    "--strict", is_flag=True, help="Warnings about the model are errors: end with status 1."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; the log goes to stderr."
)
def checker(
    model_type: str,
    march: str,
    machine: str,
    proto: Path | None,
    model: Path,
    input_shapes: tuple[tuple[str, str], ...],
    output: str | None,
    strict: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Tell which nodes of a model run on the BPU, and why the others do not.

    \b
    Examples:
      hb_mapper checker --model-type onnx --model mobilenet.onnx
      hb_mapper checker --model-type onnx --model detector.onnx \\
          --input-shape input.1 1x3x512x512
      hb_mapper checker --model-type caffe --proto ssd.prototxt \\
          --model ssd.caffemodel
    """
    del march

    def run(progress: Progress) -> None:
        from bpu_host.cli import mapper_commands
        from bpu_host.cli.mapper_log import logger
        from bpu_host.compiler.findings import refuse

        if output:
            logger.info("--output is deprecated and has no effect: the log file is the result")
        mapper_commands.check_kind(model_type, proto)
        _begin()
        shapes = {name: parse_shape(text) for name, text in input_shapes}
        compiled = mapper_commands.check(model, proto, shapes, machine, progress)
        if as_json:
            print(mapper_commands.check_json(compiled))
        if strict:
            refuse(compiled.findings)
        mapper_commands.log_findings(compiled.findings)

    sys.exit(_guarded("checker", run, sys.stderr if as_json else None))


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@PROTO
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file to write.  [default: the model's name with .yaml, here]",
)
def init(model: Path, proto: Path | None, output: Path | None) -> None:
    """Write a configuration (YAML) for MODEL to start from.

    It holds the model's inputs with their shapes, what they probably are and
    why, and says how to make calibration samples. What only you can know is
    marked CHECK. An existing file is never written over.

    \b
    Examples:
      hb_mapper init mobilenet.onnx
      hb_mapper init exports/yolo.onnx --output yolo_x3.yaml
      hb_mapper init --proto ssd.prototxt ssd.caffemodel
    """

    def run(progress: Progress) -> None:
        del progress
        _begin()
        from bpu_host.cli import init_config

        init_config.run(model, proto, output)

    sys.exit(_guarded("init", run))


@cli.command()
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    required=True,
    help="The configuration (YAML).",
)
@MODEL_TYPE
@click.option(
    "--machine", type=MACHINE, help="The chip; wins over compiler_parameters.machine in the YAML."
)
@click.option(
    "--strict", is_flag=True, help="Warnings about the conversion are errors: write nothing then."
)
def makertbin(
    config: Path, model_type: str, machine: str | None, strict: bool
) -> None:  # fmt: skip
    """Convert a float model into a `.bin` for the board.

    Writes <prefix>.bin and four ONNX models into working_dir. Warnings about the
    samples and the result are shown last.

    \b
    Example:
      hb_mapper makertbin --config mobilenet.yaml --model-type onnx
    """

    def run(progress: Progress) -> None:
        from bpu_host.cli import mapper_commands

        mapper_commands.make(config, model_type, machine, strict, progress, _begin)

    sys.exit(_guarded("makertbin", run))


@cli.command()
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of pictures (jpg, png, bmp, webp, tiff), read in sorted order.",
)
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    help="New folder for the samples (cal_data_dir).",
)
@click.option("--size", required=True, metavar="HxW", help="Height and width of the model input.")
@click.option(
    "--short-side",
    "--short_side",
    "short_side",
    type=click.IntRange(1),
    help="Length the short side is resized to before the centre crop.  "
    "[default: 256/224 of the smaller size]",
)
@click.option(
    "--interpolation",
    type=click.Choice(["bilinear", "bicubic"]),
    default="bilinear",
    show_default=True,
    help="How pictures are resized (Pillow, antialiased).",
)
@click.option(
    "--type",
    "pixel_type",
    type=click.Choice(["rgb", "bgr", "yuv444", "gray"]),
    default="rgb",
    show_default=True,
    help="input_type_train of the model.",
)
@click.option(
    "--layout",
    type=click.Choice(["NCHW", "NHWC"], case_sensitive=False),
    default="NCHW",
    show_default=True,
    help="input_layout_train of the model.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "uint8"]),
    default="float32",
    show_default=True,
    help="cal_data_type.",
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Take only the pictures at positions 0, N, 2N, ... of the sorted list.",
)
def caldata(
    source: Path,
    target: Path,
    size: str,
    short_side: int | None,
    interpolation: Interpolation,
    pixel_type: str,
    layout: str,
    dtype: str,
    every: int,
) -> None:  # fmt: skip
    """Make calibration samples (cal_data_dir) from a folder of pictures.

    The short side is resized, the centre is cropped; pixels stay 0..255 (mean and scale are part of
    the model).

    \b
    Example: every fifth photo for a model trained on 224x224 RGB
      hb_mapper caldata --input photos --output cal_f32 --size 224x224 \\
          --short-side 256 --every 5
    """

    def run(progress: Progress) -> None:
        _begin()
        from bpu_common.errors import UsageError
        from bpu_host.cli import caldata as command

        shape = parse_shape(size)
        if len(shape) != 2:
            raise UsageError(f"'{size}' is not HxW, such as 224x224", where="--size")
        recipe = command.Recipe(
            (shape[0], shape[1]), short_side, interpolation, pixel_type, layout.upper(), dtype
        )
        command.run(source, target, recipe, every, progress)

    sys.exit(_guarded("caldata", run))


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x3x224x224` as a tuple.

    Raises:
        UsageError: not sizes joined by x.
    """
    from bpu_common.errors import UsageError
    from bpu_host.compiler.config.writing import shape

    if not (found := shape(text)):
        raise UsageError(
            f"'{text}' is not a shape",
            hint="write sizes joined by x, such as 1x3x224x224",
        )
    return found


def _begin() -> None:
    """What follows may be brought down by the user's files; called as a program we are safe."""
    prepare: Callable[[], None] | None = click.get_current_context().obj
    if prepare:
        prepare()


def _guarded(command: str, run: Callable[[Progress], None], console: TextIO | None = None) -> int:
    """Run with logging; every failure ends as lines and an exit status, never as a traceback.

    Args:
        console: where the log goes; None: stdout.
    """
    from bpu_common.errors import BpuError
    from bpu_host.cli.mapper_log import logger, logging_to

    with logging_to(Path(f"hb_mapper_{command}.log"), console) as progress:
        try:
            run(progress)
        except BpuError as error:
            where = f"{error.where}: " if error.where else ""
            logger.error("%s%s", where, error.message)
            if error.hint:
                logger.error("hint: %s", error.hint)
            for note in getattr(error, "__notes__", ()):
                logger.error(note)
            logger.error("exception in command: %s", command)
            return error.exit_status
        except KeyboardInterrupt:
            logger.error("interrupted: nothing was written")
            return 130
        except MemoryError as error:
            logger.debug("out of memory", exc_info=True)
            logger.error("not enough memory on this computer: %s", error)
            logger.error("hint: choose a smaller input_shape, or a computer with more memory")
            logger.error("exception in command: %s", command)
            return 1
        except Exception as error:  # noqa: BLE001  (the last line of defence of a program)
            logger.debug("traceback", exc_info=True)
            logger.error("%s: %s", type(error).__name__, error)
            logger.error("hint: this is a fault of OpenBPU; the log file has the details")
            logger.error("exception in command: %s", command)
            return 1
    return 0


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    """As Ctrl-C, once: the signal that comes a second time, to all of a group, changes nothing."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _go_on_in_child() -> None:
    from bpu_host.cli.allocator import set_allocator
    from bpu_host.cli.crashes import go_on_in_child

    set_allocator()
    go_on_in_child("hb_mapper")


def main() -> NoReturn:
    """Entry point of the `hb_mapper` command; SIGTERM and a lost terminal end it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, _interrupt)
    cli(prog_name="hb_mapper", obj=_go_on_in_child)
    sys.exit(0)


if __name__ == "__main__":
    main()
