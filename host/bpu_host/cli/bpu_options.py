"""What several `bpu` commands share: options, progress lines, JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bpu_common.plain import plain_lines
from bpu_host.cli.completing import complete_boards, complete_models

_F = TypeVar("_F", bound=Callable[..., Any])


def board_option(function: _F) -> _F:
    """`--board BOARD`; without it, the board that is meant (`bpu_host.client.default_board`)."""
    return click.option(
        "--board",
        "-b",
        "address",
        callback=_meant,
        metavar="BOARD",
        shell_complete=complete_boards,
        help="A board of `bpu boards list`, or an agent at unix:PATH or HOST:PORT.  "
        "[default: BPU_BOARD, or the only board]",
    )(function)


def _meant(context: click.Context, _: click.Parameter, given: str | None) -> str:
    if given or context.resilient_parsing:
        return given or ""
    from bpu_host.client import default_board

    return default_board()


def say(text: str) -> None:
    """Print what a board or a model may have named: nothing in it moves the terminal."""
    click.echo(plain_lines(text))


def model_argument(function: _F) -> _F:
    """`MODEL`: a name or a digest of a model on the board."""
    return click.argument("model", shell_complete=complete_models)(function)


def json_option(function: _F) -> _F:
    """`--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object, for programs."
    )(function)


def core_options(function: _F) -> _F:
    """`--core` and `--priority`."""
    function = click.option(
        "--priority",
        type=click.IntRange(0, 255),
        default=0,
        show_default=True,
        help="Urgency; 255 preempts.",
    )(function)
    return click.option(
        "--core",
        "core_id",
        type=click.IntRange(0, 2),
        default=0,
        show_default=True,
        help="0 any core, 1 core 0, 2 core 1.",
    )(function)


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    import json

    click.echo(json.dumps(value, ensure_ascii=False))


class ProgressLine:
    """Progress on standard error: one moving line on a terminal, a line per quarter in a log."""

    def __init__(self, label: str, unit: str, quiet: bool = False) -> None:
        self._label = label
        self._unit = unit
        self._quiet = quiet
        self._moving = sys.stderr.isatty()
        self._last = -1
        self._open = False

    def update(self, done: int, total: int) -> None:
        """Show `done` of `total`."""
        percent = 100 * done // total if total else 100
        step = percent if self._moving else percent // 25
        if self._quiet or step == self._last:
            return
        self._last = step
        text = f"{self._label}: {percent:3d} % ({done}/{total} {self._unit})"
        if self._moving:
            click.echo(f"\r{text}\x1b[K", err=True, nl=False)
            self._open = True
        else:
            click.echo(text, err=True)

    def close(self) -> None:
        """End the moving line, if there is one."""
        if self._open:
            click.echo("", err=True)
            self._open = False
