"""What a shell may complete: boards of the inventory, models of a board; and its scripts."""

from __future__ import annotations

import click

from bpu_common.completion import variable

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = {
    "bpu": ("bpu_host.cli.bpu", "bpu"),
    "bpud": ("bpu_host.cli.bpud", "bpud"),
    "hb_mapper": ("bpu_host.cli.hb_mapper", "cli"),
}
"""Program -> module and name of its click command."""
OF_THE_BOARD = ("bpu-agent", "hrt_model_exec")
"""Programs that answer shells themselves, in click's way."""

_ANSWER_S = 1.0
"""A board that is slower does not complete anything: a shell that waits longer seems dead."""


def complete_boards(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of boards that begin so."""
    del context
    from bpu_common.errors import BpuError
    from bpu_host.boards.inventory import Inventory

    try:
        return [each.name for each in Inventory().entries() if each.name.startswith(incomplete)]
    except BpuError:
        return []


def complete_models(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of models that begin so, on the board that the line names or that is meant."""
    from bpu_common.errors import BpuError
    from bpu_host.client import connect, default_board

    try:
        address = context.params.get("address") or default_board()
        with connect(address, timeout_s=_ANSWER_S) as board:
            return [each.name for each in board.models() if each.name.startswith(incomplete)]
    except BpuError:
        return []


def script(shell: str) -> str:
    """What a shell reads to complete our programs.

    Raises:
        KeyError: not one of `SHELLS`.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise KeyError(shell)
    return "\n".join(
        kind(click.Command(program), {}, program, variable(program)).source()
        for program in (*PROGRAMS, *OF_THE_BOARD)
    )
