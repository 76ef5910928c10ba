"""`bpu run MODEL INPUT... --board ADDRESS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bpu_host.cli.bpu_options import (
    ProgressLine,
    board_option,
    core_options,
    json_option,
    model_argument,
    print_json,
    say,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import SupportsFloat

    from bpu_common.board import BoardInfo
    from bpu_common.perf import InferResult
    from bpu_common.pictures import Fit

_EXAMPLES = """\b
Examples:
  bpu run net photo.jpg --board unix:/run/bpu/agent.sock
  bpu run net photos/ --board 127.0.0.1:50551 --output results --json
  bpu run net photo.jpg --fit letterbox --labels imagenet.txt
  bpu run two_inputs left.bin right.npy --board 127.0.0.1:50551
"""
_BEST = 5
_MAX_NAME = 200
"""Characters of a file name that come from the input and the tensor."""


@click.command("run", epilog=_EXAMPLES)
@model_argument
@click.argument("inputs", nargs=-1, required=True, type=click.Path(), metavar="INPUT...")
@board_option
@core_options
@click.option(
    "--fit",
    type=click.Choice(["stretch", "crop", "letterbox"]),
    default="stretch",
    show_default=True,
    help="How a picture of another size becomes the input's.",
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds per frame.")
@click.option(
    "--labels",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Names of the values of an output, a line each.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False),
    help="Folder for the outputs, one .npy file each; made if it is missing.",
)
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    address: str,
    core_id: int,
    priority: int,
    fit: Fit,
    timeout: float | None,
    labels: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Run MODEL on a board.

    INPUT is a picture (JPEG, PNG, BMP or WEBP: converted to what the input takes), a .npy array, a
    raw .bin file, or a folder of these. A model with one input runs once per file; one with several
    inputs takes one INPUT for each, in order.
    """
    from pathlib import Path

    from bpu_host.client import connect
    from bpu_host.remote.inputs import frames_of

    folder = Path(output) if output is not None else None
    names = _labels(Path(labels)) if labels is not None else []
    with connect(address) as board:
        info = board.info()
        frames = frames_of(board.model(model), inputs, fit=fit)
        if folder is not None:
            _make(folder)
        line = ProgressLine("running", "frames", quiet=as_json or len(frames) < 10)
        for index, frame in enumerate(frames):
            result = board.infer(
                model, frame.arrays(), core_id=core_id, priority=priority, timeout_s=timeout
            )
            saved = [] if folder is None else _save(result, folder, f"{frame.name}")
            if as_json:
                print_json(_to_json(frame.name, result, info, saved, names))
            else:
                _show(frame.name, result, info, saved, names)
            line.update(index + 1, len(frames))
        line.close()


def _labels(path: Path) -> list[str]:
    """The lines of a file.

    Raises:
        UsageError: it cannot be read.
    """
    from bpu_common.errors import UsageError

    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"cannot read the labels: {reason}", where=str(path)) from None


def _make(folder: Path) -> None:
    from bpu_common.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder of the outputs: {error.strerror}",
            where=str(folder),
            hint="name another folder with --output",
        ) from None


def _save(result: InferResult, folder: Path, stem: str) -> list[str]:
    import io
    import re

    import numpy as np

    from bpu_common.files import write_atomic

    saved: list[str] = []
    for index, (name, array) in enumerate(result.outputs.items()):
        # Tensor names come from the model: nothing in them may become part of a path.
        plain = re.sub(r"[^\w.-]", "_", f"{stem}_{name}", flags=re.ASCII)[:_MAX_NAME]
        path = folder / f"{plain}.npy"
        if str(path) in saved:
            path = folder / f"{plain}_{index}.npy"
        buffer = io.BytesIO()
        np.save(buffer, array)
        write_atomic(path, buffer.getbuffer())
        saved.append(str(path))
    return saved


def _show(
    name: str, result: InferResult, board: BoardInfo, saved: list[str], labels: list[str]
) -> None:
    from bpu_common.device_kind import device_words

    late = ", late" if result.late else ""
    device = device_words(board.device, board.clock)
    say(f"{name}: {result.latency_ns / 1e6:.3f} ms on {board.machine} ({device}){late}")
    for output, array in result.outputs.items():
        shape = "x".join(map(str, array.shape)) or "scalar"
        text = f"  {output} {array.dtype} {shape}: {_number(array.min())} to {_number(array.max())}"
        if _is_vector(array.shape):
            values = array.reshape(-1)
            best = values.argsort()[::-1][:_BEST]
            named = labels if len(labels) == values.size else [f"[{i}]" for i in range(values.size)]
            text += ", largest " + ", ".join(f"{named[i]} {_number(values[i])}" for i in best)
        say(text)
    for path in saved:
        say(f"  written {path}")


def _number(value: SupportsFloat) -> str:
    """A value of any element type, bools as 0 and 1."""
    return f"{float(value):g}"


def _to_json(
    name: str, result: InferResult, board: BoardInfo, saved: list[str], labels: list[str]
) -> dict[str, object]:
    return {
        "input": name,
        "model": result.model,
        "machine": board.machine,
        "device": board.device.value,
        "clock": board.clock.value,
        "latency_ns": result.latency_ns,
        "pending_ns": result.pending_ns,
        "late": result.late,
        "outputs": [
            {
                "name": output,
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                **({"values": array.reshape(-1).tolist()} if _is_vector(array.shape) else {}),
                **({"labels": labels} if labels and len(labels) == array.size else {}),
            }
            for output, array in result.outputs.items()
        ],
        "files": saved,
    }


def _is_vector(shape: tuple[int, ...]) -> bool:
    """One row of values, short enough to be scores of classes."""
    return sum(size > 1 for size in shape) == 1 and max(shape) <= 4096
