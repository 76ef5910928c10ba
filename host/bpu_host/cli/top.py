"""`bpu top`: what a board does, live."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from bpu_common.environment import BOARD, TERM
from bpu_common.errors import UsageError
from bpu_host.cli.completing import complete_boards

if TYPE_CHECKING:
    from bpu_common.telemetry.lines import Recorder
    from bpu_host.tui.session import Session
    from bpu_host.tui.source import FrameSource

_EXAMPLES = """\b
Examples:
  bpu top --demo
  bpu top                                   every board of `bpu boards list`
  bpu top --board 127.0.0.1:50551 --record evening.jsonl.gz
  bpu top --replay evening.jsonl.gz --speed 2
  bpu top --board desk --once
  bpu top --board unix:/run/bpu/agent.sock --json --frames 10
"""

_LOG_COLUMNS = 160
"""Columns of `--once` where there is no terminal."""

_SCREEN_S = 0.25
_LINES_S = 0.1
"""Between two frames, unless said otherwise: on the screen, and as lines."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """One stream of frames, and the address that takes loads (empty if none does)."""

    source: FrameSource
    address: str = ""


@click.command("top", epilog=_EXAMPLES)
@click.option(
    "--board",
    "-b",
    metavar="BOARD",
    shell_complete=complete_boards,
    help="A board of `bpu boards list`, or an agent at unix:PATH or HOST:PORT.  "
    "[default: BPU_BOARD, or all boards]",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Show a recording instead.",
)
@click.option("--demo", is_flag=True, help="Watch a simulated board with three models.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the frames to a file; .gz compresses.",
)
@click.option(
    "--record-limit",
    type=click.IntRange(1, 1 << 20),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Size at which the recording ends, before compression.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, 1000),
    default=1.0,
    show_default=True,
    help="Of a replay; 0: as fast as it can be read.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 10),
    metavar="SECONDS",
    help="Between two drawings, and between two frames of a board.  "
    "[default: 0.25, with --json 0.1]",
)
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "terminal"]),
    help="Colours; terminal: its own 16 and its background.  [default: by COLORFGBG, or dark]",
)
@click.option("--once", is_flag=True, help="Print the state as text and end, no TUI.")
@click.option("--json", "as_json", is_flag=True, help="Print the frames as lines of JSON, no TUI.")
@click.option(
    "--frames", type=click.IntRange(1), metavar="N", help="With --json: end after N frames."
)
def command(
    board: str | None,
    replay: Path | None,
    demo: bool,
    record: Path | None,
    record_limit: int,
    speed: float,
    interval: float | None,
    theme: str | None,
    once: bool,
    as_json: bool,
    frames: int | None,
) -> None:
    """Watch a board: models and their latencies, what both cores run, preemptions, events.

    Inside, ? lists the keys. Colours follow NO_COLOR. The lines of --json, --record and --replay
    are the same and described in docs/telemetry-lines.md.
    """
    if (board is not None) + (replay is not None) + demo > 1:
        raise UsageError(
            "say what to watch: one of --board, --replay and --demo", hint="try `bpu top --demo`"
        )
    if frames is not None and not as_json:
        raise UsageError("--frames needs --json")
    if once and (as_json or record is not None):
        raise UsageError("--once goes with neither --json nor --record")
    if not (as_json or once) and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "this is no terminal", hint="--once prints text, --json prints the frames as lines"
        )
    interval_s = interval or (_LINES_S if as_json or once else _SCREEN_S)
    with contextlib.ExitStack() as stack:
        if demo:
            watched = [_demo(stack, interval_s)]
        elif replay is not None:
            watched = [_recording(replay, 0 if once else speed)]
        else:
            watched = _boards(board, interval_s)
        if once:
            click.echo(_once([each.source for each in watched]))
            return
        recorder = _recorder(stack, record, record_limit, watched)
        if as_json:
            _print(_only(watched, "--json").source, recorder, frames)
        else:
            _show(watched, recorder, theme, interval_s)


def _demo(stack: contextlib.ExitStack, interval_s: float) -> _Watched:
    from bpu_host.tui.demo import demo_board, prepare
    from bpu_host.tui.source import BoardSource

    with _Progress() as progress:
        address = stack.enter_context(demo_board(prepare(progress.show), progress.show))
    return _Watched(BoardSource(address, "demo", period_ms=round(interval_s * 1000)), address)


def _recording(path: Path, speed: float) -> _Watched:
    from bpu_host.tui.source import RecordingSource

    return _Watched(RecordingSource(path, speed=speed))


def _boards(board: str | None, interval_s: float) -> list[_Watched]:
    """The board that is named, that of BPU_BOARD, or all of the inventory."""
    from bpu_host.boards.inventory import Inventory
    from bpu_host.client import is_name
    from bpu_host.tui.source import BoardSource, NamedSource

    named = board or BOARD.value
    names = [named] if named else [entry.name for entry in Inventory().entries()]
    if not names:
        raise UsageError(
            "say what to watch, one of --board, --replay and --demo: there are no boards",
            hint="try `bpu top --demo`, or add a board: `bpu boards add NAME USER@HOST`",
        )
    period_ms = round(interval_s * 1000)
    return [
        _Watched(
            NamedSource(name, period_ms=period_ms)
            if is_name(name)
            else BoardSource(name, period_ms=period_ms),
            name,
        )
        for name in names
    ]


def _only(watched: list[_Watched], option: str) -> _Watched:
    if len(watched) > 1:
        names = ", ".join(each.source.label for each in watched)
        raise UsageError(f"{option} takes one board", hint=f"--board with one of {names}")
    return watched[0]


def _recorder(
    stack: contextlib.ExitStack, path: Path | None, limit_mib: int, watched: list[_Watched]
) -> Recorder | None:
    if path is None:
        return None
    from bpu_common.telemetry.lines import Recorder

    source = _only(watched, "--record").source
    recorder = Recorder(path, source.label, limit_mib << 20)
    stack.callback(recorder.close)
    return recorder


def _once(sources: Sequence[FrameSource]) -> str:
    from datetime import datetime

    from bpu_host.tui.plain import once, once_boards
    from bpu_host.tui.state import UiState

    zone = datetime.now().astimezone().tzinfo
    ui = UiState(zone=zone) if zone is not None else UiState()
    if len(sources) > 1:
        return once_boards(sources, ui)
    return once(sources[0], ui, shutil.get_terminal_size((_LOG_COLUMNS, 24)).columns)


def _show(
    watched: list[_Watched], recorder: Recorder | None, theme: str | None, interval_s: float
) -> None:
    from bpu_host.tui.app import TopApp
    from bpu_host.tui.palette import PALETTES, default_palette

    palette = PALETTES[theme] if theme else default_palette()
    sessions = [_session(each, recorder, len(watched)) for each in watched]
    app = TopApp(sessions, palette, interval_s=interval_s)
    app.run()
    if app.return_code:
        raise click.exceptions.Exit(app.return_code)


def _session(watched: _Watched, recorder: Recorder | None, count: int) -> Session:
    from bpu_host.tui.feed import Feed
    from bpu_host.tui.history import MAX_SLICES, History
    from bpu_host.tui.loads import BoardLoads
    from bpu_host.tui.session import Session

    address = watched.address
    return Session(
        Feed(watched.source, recorder),
        watched.source.label,
        (lambda: BoardLoads(address).begin()) if address else None,
        recording=recorder.path.name if recorder is not None else "",
        history=History(max_slices=MAX_SLICES // count),
    )


def _print(source: FrameSource, recorder: Recorder | None, count: int | None) -> None:
    """The header line and the frames, each flushed."""
    from bpu_common.telemetry.lines import frame_line, header_line

    print(header_line(source.label), flush=True)
    for frame in itertools.islice(source.frames(), count):
        print(frame_line(frame), flush=True)
        if recorder is not None:
            recorder.add(frame)


class _Progress:
    """One line on standard error that changes on a terminal; a line a step in a log."""

    def __init__(self) -> None:
        self._moving = sys.stderr.isatty() and TERM.value != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._moving:
            click.echo("\r\x1b[K", err=True, nl=False)

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._moving:
            click.echo(f"\r{text}\x1b[K", err=True, nl=False)
        else:
            click.echo(text, err=True)
