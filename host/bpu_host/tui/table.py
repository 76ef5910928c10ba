"""The table of the models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.widgets import DataTable

from bpu_common.load import LoadRequest
from bpu_host.tui.draw import sparkline
from bpu_host.tui.palette import BAD, DIM, GOOD, TEXT, WARN, model_colour, style
from bpu_host.tui.scene import ModelRow, letter
from bpu_host.tui.text import count, milliseconds, short

CORE_NAMES = ("any", "core 0", "core 1")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: heading, width in cells, what it shows; `wide`: only where there is room."""

    title: str
    width: int
    cell: Callable[[ModelRow, int], Text]
    wide: bool = False
    left: bool = False


def load_text(load: LoadRequest) -> str:
    """`4×any`, `1×core 0`, `30/s`, `30/s core 1`."""
    core = CORE_NAMES[load.core_id]
    if not load.rate_hz:
        return f"{load.threads}×{core}"
    return f"{load.rate_hz:g}/s" + (f" {core}" if load.core_id else "")


def _loads(row: ModelRow, width: int) -> Text:
    if not row.loads:
        return Text("")
    more = f" +{len(row.loads) - 1}" if len(row.loads) > 1 else ""
    text = load_text(row.loads[0])
    if len(text) + len(more) + 2 > width:
        text = text.replace("core ", "c")
    return Text(f"▶ {text}{more}"[:width], style(GOOD))


def _name(row: ModelRow, width: int) -> Text:
    colour = model_colour(row.slot)
    name = row.name if len(row.name) <= width - 3 else row.name[: width - 4] + "…"
    return Text.assemble((f"█{letter(row.slot)} ", style(colour)), (name, style(TEXT, bold=True)))


def _priority(row: ModelRow, _: int) -> Text:
    urgent = row.priority == 255
    return Text(str(row.priority), style(WARN, bold=True) if urgent else style(TEXT))


def _number(text: str, colour: str = TEXT) -> Text:
    return Text(text, style(DIM if text in {"-", "0", "0.00"} else colour))


def _spark(row: ModelRow, width: int) -> Text:
    return Text(sparkline(row.p99, width), style(model_colour(row.slot)))


def _queue(row: ModelRow, _: int) -> Text:
    return _number(f"{row.running}+{row.waiting}" if row.waiting or row.running else "0")


COLUMNS = (
    Column("model", 14, _name, left=True),
    Column("prio", 4, _priority),
    Column("FPS", 6, lambda row, _: _number(short(row.fps))),
    Column("p50 ms", 6, lambda row, _: _number(milliseconds(row.p50_ns))),
    Column("p99 ms", 6, lambda row, _: _number(milliseconds(row.p99_ns))),
    Column("60 s", 8, _spark, left=True),
    Column("wait", 5, lambda row, _: _number(milliseconds(row.pending_ns)), wide=True),
    Column("BPU", 5, lambda row, _: _number(milliseconds(row.bpu_ns)), wide=True),
    Column("CPU", 5, lambda row, _: _number(milliseconds(row.cpu_ns)), wide=True),
    Column("queue", 5, _queue),
    Column("took", 5, lambda row, _: _number(count(row.preempting), GOOD)),
    Column("lost", 5, lambda row, _: _number(count(row.preempted), WARN)),
    Column("miss", 4, lambda row, _: _number(count(row.missed + row.failed), BAD), wide=True),
    Column("load", 9, _loads, wide=True, left=True),
)


class ModelTable(DataTable[Text]):
    """One row a model; the cursor is the selected model."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  textual's name for it
        super().__init__(id=id, cursor_type="row", cursor_foreground_priority="renderable")
        self._columns: tuple[Column, ...] = ()
        self._widths: tuple[int, ...] = ()
        self._names: tuple[str, ...] = ()

    def show(self, rows: tuple[ModelRow, ...], width: int) -> None:
        """Put the rows in; columns follow the width of the screen.

        Rows that are there already keep their place, so the cursor stays on its model.
        """
        columns, widths = layout(width)
        names = tuple(row.name for row in rows)
        if columns != self._columns or widths != self._widths or names != self._names:
            at = self.cursor_row
            chosen = self._names[at] if 0 <= at < len(self._names) else ""
            self._columns, self._widths, self._names = columns, widths, names
            self.clear(columns=True)
            for column, cells in zip(columns, widths, strict=True):
                title = Text(column.title, justify="left" if column.left else "right")
                self.add_column(title, width=cells, key=column.title)
            for row in rows:
                self.add_row(*self._cells(row), key=row.name)
            if chosen in names:
                self.move_cursor(row=names.index(chosen))
            return
        for row in rows:
            for column, cell in zip(columns, self._cells(row), strict=True):
                if self.get_cell(row.name, column.title) != cell:
                    self.update_cell(row.name, column.title, cell)

    def _cells(self, row: ModelRow) -> list[Text]:
        found = []
        for column, width in zip(self._columns, self._widths, strict=True):
            cell = column.cell(row, width)
            cell.justify = "left" if column.left else "right"
            found.append(cell)
        return found


def layout(width: int) -> tuple[tuple[Column, ...], tuple[int, ...]]:
    """The columns that fit into `width` cells and their widths; names and sparkline grow."""
    columns = tuple(column for column in COLUMNS if not column.wide or width >= 118)
    widths = [column.width for column in columns]
    left = width - sum(widths) - 2 * len(columns)
    for index, column in enumerate(columns):
        if column.cell is _spark:
            grown = max(0, min(left * 2 // 3, 30))
            widths[index] += grown
        elif column.cell is _name:
            widths[index] += max(-4, min(left // 3, 10))
    return columns, tuple(widths)
