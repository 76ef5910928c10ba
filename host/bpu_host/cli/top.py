"""`bpu top`: what a board does, live."""

from __future__ import annotations

import contextlib
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from bpu_common.environment import TERM
from bpu_common.errors import UsageError

if TYPE_CHECKING:
    from bpu_common.telemetry.lines import Recorder
    from bpu_host.tui.loads import LoadControl
    from bpu_host.tui.source import FrameSource

_EXAMPLES = """\b
Examples:
  bpu top --demo
  bpu top --board 127.0.0.1:50551 --record evening.jsonl.gz
  bpu top --replay evening.jsonl.gz --speed 2
  bpu top --board unix:/run/bpu/agent.sock --json --frames 10
"""


@click.command("top", epilog=_EXAMPLES)
@click.option(
    "--board",
    metavar="BOARD",
    help="A board of `bpu boards list`, or an agent at unix:PATH or HOST:PORT.",
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
    as_json: bool,
    frames: int | None,
) -> None:
    """Watch a board: models and their latencies, what both cores run, preemptions, events.

    Inside, ? lists the keys. Colours follow NO_COLOR. The lines of --json, --record and --replay
    are the same and described in docs/telemetry-lines.md.
    """
    if (board is not None) + (replay is not None) + demo != 1:
        raise UsageError(
            "say what to watch: one of --board, --replay and --demo", hint="try `bpu top --demo`"
        )
    if frames is not None and not as_json:
        raise UsageError("--frames needs --json")
    if not as_json and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("this is no terminal", hint="--json prints the frames as lines")

    from bpu_common.telemetry.lines import Recorder

    with contextlib.ExitStack() as stack:
        source, address = _source(stack, board, replay, demo, speed)
        recorder = None
        if record is not None:
            recorder = Recorder(record, source.label, record_limit << 20)
            stack.callback(recorder.close)
        if as_json:
            _print(source, recorder, frames)
            return
        loads: LoadControl | None = None
        if address:
            from bpu_host.tui.loads import BoardLoads

            loads = BoardLoads(address).begin()
        _show(source, recorder, loads)


def _source(
    stack: contextlib.ExitStack,
    board: str | None,
    replay: Path | None,
    demo: bool,
    speed: float,
) -> tuple[FrameSource, str]:
    """The frames to watch, and the address that takes loads (empty if none does)."""
    from bpu_host.client import is_name
    from bpu_host.tui.source import BoardSource, NamedSource, RecordingSource

    if replay is not None:
        return RecordingSource(replay, speed=speed), ""
    if demo:
        from bpu_host.tui.demo import demo_board, prepare

        with _Progress() as progress:
            address = stack.enter_context(demo_board(prepare(progress.show), progress.show))
        return BoardSource(address, "demo"), address
    assert board is not None
    return (NamedSource(board) if is_name(board) else BoardSource(board)), board


def _show(source: FrameSource, recorder: Recorder | None, loads: LoadControl | None) -> None:
    from bpu_host.tui.app import TopApp
    from bpu_host.tui.feed import Feed

    recording = recorder.path.name if recorder is not None else ""
    app = TopApp(Feed(source, recorder), source.label, loads, recording=recording)
    app.run()
    if app.return_code:
        raise click.exceptions.Exit(app.return_code)


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
