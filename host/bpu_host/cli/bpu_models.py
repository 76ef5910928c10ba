"""`bpu models [MODEL] --board ADDRESS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bpu_common.words import counted
from bpu_host.cli.bpu_options import board_option, json_option, print_json, say
from bpu_host.cli.completing import complete_models

if TYPE_CHECKING:
    from bpu_common.board import ModelEntry, ModelInfo

_EXAMPLES = """\b
Examples:
  bpu models --board unix:/run/bpu/agent.sock
  bpu models net --board 127.0.0.1:50551 --json
"""


@click.command("models", epilog=_EXAMPLES)
@click.argument("model", required=False, shell_complete=complete_models)
@board_option
@json_option
def command(model: str | None, address: str, as_json: bool) -> None:
    """List the models on a board, or describe MODEL (a name or a digest)."""
    from bpu_host.client import connect

    with connect(address) as board:
        if model is None:
            _list(board.models(), as_json)
        else:
            _describe(board.model(model), as_json)


def _list(entries: tuple[ModelEntry, ...], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json({"models": [asdict(entry) for entry in entries]})
        return
    if not entries:
        say("no models; send one with `bpu deploy`")
        return
    width = max(4, *(len(entry.name) for entry in entries))
    say(f"{'name':<{width}}  digest        {'bytes':>11}  loaded")
    for entry in entries:
        loaded = "yes" if entry.loaded else "no"
        say(f"{entry.name:<{width}}  {entry.digest[:12]:<12}  {entry.size_bytes:>11}  {loaded}")


def _describe(info: ModelInfo, as_json: bool) -> None:
    from bpu_host.cli.bpu_describe import info_to_json, input_rows, output_rows

    if as_json:
        print_json(info_to_json(info))
        return
    say(f"{info.name} ({info.march}, {info.machine})")
    for row in (*input_rows(info), *output_rows(info)):
        say(f"  {row}")
    for part in info.parts:
        detail = ""
        if part.on == "BPU":
            detail = (
                f": {counted(part.function_calls, 'function call')}, "
                f"{part.predicted_cycles} cycles, {part.macs / 1e6:.1f} M multiply-accumulates, "
                f"{part.weights_bytes} bytes"
            )
        say(f"  part {part.name} on the {part.on}{detail}")
