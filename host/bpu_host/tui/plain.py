"""`bpu top --once`: a board, or several, as plain lines of text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from rich.text import Text

from bpu_common.errors import BpuError
from bpu_host.tui.history import History
from bpu_host.tui.overview import COLUMNS as BOARD_COLUMNS
from bpu_host.tui.palette import DARK
from bpu_host.tui.panels import header_sides
from bpu_host.tui.scene import BoardRow, Gauges, View
from bpu_host.tui.source import FrameSource
from bpu_host.tui.state import Link, UiState
from bpu_host.tui.table import layout
from bpu_host.tui.text import gigabytes, size
from bpu_host.tui.view import view
from bpu_host.tui.view.boards import board_row

LOOK_S = 1.2
"""A board is watched for so long: rates need two frames, a standing clock a second."""

_EVENTS = 5


def look(source: FrameSource, ui: UiState) -> tuple[History, UiState]:
    """Frames of a source: a whole recording, or `LOOK_S` of a board.

    Raises:
        BpuError: the source cannot be read.
    """
    history = History()
    end_s = None
    for frame in source.frames():
        history.add(frame)
        end_s = end_s or time.monotonic() + LOOK_S
        if source.lasting and time.monotonic() >= end_s:
            break
    link = Link.LIVE if source.lasting else Link.ENDED
    return history, UiState(label=source.label, link=link, replay=source.replay, zone=ui.zone)


def once(source: FrameSource, ui: UiState, width: int) -> str:
    """The state of a board in `width` columns.

    Raises:
        BpuError: the source cannot be read.
    """
    history, found = look(source, ui)
    return board_text(view(history.until(history.end), found), width)


def once_boards(sources: Iterable[FrameSource], ui: UiState) -> str:
    """A line a board; one that cannot be reached says why."""
    rows = []
    for source in sources:
        try:
            history, found = look(source, ui)
        except BpuError as error:
            rows.append(BoardRow(source.label, Link.LOST, error.message))
        else:
            rows.append(board_row(history.until(history.end), found))
    return boards_text(rows)


def board_text(seen: View, width: int) -> str:
    """Header, cores, models, the board's computer and its last events."""
    sides = header_sides(seen.header, DARK, wide=True)  # a second line is no harm here
    header = "  ".join(side.plain.strip() for side in sides)
    lines = [re.sub(" {3,}", "  ", header), ""]
    for core in seen.timeline.cores:
        runs = f"{core.model} call {core.call}" if core.model else "idle"
        lines.append(
            f"core {core.index}  {core.utilisation:5.1f} %  {core.calls_per_s:.0f} calls/s  "
            f"{core.preemptions} preemptions  DDR {gigabytes(core.ddr_bytes_per_s)} GB/s, "
            f"calls +{100 * core.ddr_stretch:.1f} %  {runs}"
        )
    lines += ["", *_models(seen, width), "", *_computer(seen.gauges)]
    lines += [f"{event.time}  {event.level}  {event.text}" for event in seen.events[-_EVENTS:]]
    return "\n".join(part for line in lines for part in folded(line.rstrip(), width))


def folded(line: str, width: int) -> list[str]:
    """A line in lines of at most `width` columns, broken where two blanks part its figures."""
    lines: list[str] = []
    while len(line) > width:
        cut = line.rfind("  ", 1, width + 2)
        if cut < 0 or not line[:cut].strip():
            break
        lines.append(line[:cut].rstrip())
        line = "  " + line[cut:].strip()
    return [*lines, line]


def boards_text(rows: Sequence[BoardRow]) -> str:
    """A table of boards."""
    titles = [title for title, _, _ in BOARD_COLUMNS]
    cells = [[cell(row, DARK).plain.strip() for _, _, cell in BOARD_COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (titles, *cells)
    )


def _models(seen: View, width: int) -> list[str]:
    columns, widths = layout(width)
    sized = list(zip(columns, widths, strict=True))

    def line(cells: Iterable[str]) -> str:
        return "  ".join(
            text.ljust(size) if column.left else text.rjust(size)
            for text, (column, size) in zip(cells, sized, strict=True)
        )

    rows = [[column.cell(row, size, DARK) for column, size in sized] for row in seen.models]
    return [line(column.title for column in columns), *(line(map(_plain, row)) for row in rows)]


def _plain(cell: Text) -> str:
    return cell.plain


def _computer(gauges: Gauges | None) -> list[str]:
    if gauges is None:
        return []
    used, total = size(gauges.memory_used), size(gauges.memory_total)
    line = (
        f"DDR {gigabytes(gauges.ddr_bytes_per_s)} GB/s  CPU {gauges.cpu:.0f} % of "
        f"{gauges.cpu_count}  memory {used} of {total}  tasks {gauges.running} running, "
        f"{gauges.waiting} waiting"
    )
    return ["  ".join([line, *(f"{name} {at:.1f} °C" for name, at in gauges.temperatures)]), ""]
