"""`bpu remove MODEL --board ADDRESS`."""

from __future__ import annotations

import click

from bpu_host.cli.bpu_options import board_option, model_argument, say


@click.command(
    "remove", epilog="\b\nExamples:\n  bpu remove net --board unix:/run/bpu/agent.sock\n"
)
@model_argument
@board_option
def command(model: str, address: str) -> None:
    """Delete the file that holds MODEL (a name or a digest) from a board."""
    from bpu_host.client import connect

    with connect(address) as board:
        board.remove(model)
    say(f"removed {model}")
