"""The table of the models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.widgets import DataTable

from bpu_common.load import LoadRequest
from bpu_host.tui.draw import sparkline
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.scene import ModelRow, letter
from bpu_host.tui.state import Order
from bpu_host.tui.text import count, milliseconds, rate, short

CORE_NAMES = ("any", "core 0", "core 1")

_Cell = Callable[[ModelRow, int, Palette], Text]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: heading, width in cells, what it shows; `least`: width of the table it needs."""

    title: str
    width: int
    cell: _Cell
    least: int = 0
    left: bool = False


def load_text(load: LoadRequest) -> str:
    """`4×any`, `1×core 0`, `30/s`, `30/s core 1`."""
    core = CORE_NAMES[load.core_id]
    if not load.rate_hz:
        return f"{load.threads}×{core}"
    return f"{load.rate_hz:g}/s" + (f" {core}" if load.core_id else "")


def _loads(row: ModelRow, width: int, palette: Palette) -> Text:
    if not row.loads:
        return Text("")
    more = f" +{len(row.loads) - 1}" if len(row.loads) > 1 else ""
    text = load_text(row.loads[0])
    if len(text) + len(more) + 2 > width:
        text = text.replace("core ", "c")
    return Text(f"▶ {text}{more}"[:width], style(palette.good))


def _name(row: ModelRow, width: int, palette: Palette) -> Text:
    colour = style(palette.model(row.slot))
    name = row.name if len(row.name) <= width - 3 else row.name[: width - 4] + "…"
    return Text.assemble((f"█{letter(row.slot)} ", colour), (name, style(palette.text, bold=True)))


def _priority(row: ModelRow, _: int, palette: Palette) -> Text:
    urgent = row.priority == 255
    look = style(palette.warn, bold=True) if urgent else style(palette.text)
    return Text(str(row.priority), look)


def _number(text: str, palette: Palette, colour: str = "") -> Text:
    nothing = text in {"-", "0", "0.00"}
    return Text(text, style(palette.dim if nothing else colour or palette.text))


def _plain(text: Callable[[ModelRow], str]) -> _Cell:
    return lambda row, _, palette: _number(text(row), palette)


def _good(text: Callable[[ModelRow], str]) -> _Cell:
    return lambda row, _, palette: _number(text(row), palette, palette.good)


def _warning(text: Callable[[ModelRow], str]) -> _Cell:
    return lambda row, _, palette: _number(text(row), palette, palette.warn)


def _missed(row: ModelRow, _: int, palette: Palette) -> Text:
    return _number(count(row.missed + row.failed), palette, palette.bad)


def _spark(row: ModelRow, width: int, palette: Palette) -> Text:
    return Text(sparkline(row.p99, width), style(palette.model(row.slot)))


def _queue(row: ModelRow, _: int, palette: Palette) -> Text:
    busy = row.waiting or row.running
    return _number(f"{row.running}+{row.waiting}" if busy else "0", palette)


def _parked(row: ModelRow, _: int, palette: Palette) -> Text:
    """ms a second, and who it was for: `34.2 for C`."""
    if not row.parked:
        return _number("0", palette)
    slot = row.parked[0][0]
    more = "+" if len(row.parked) > 1 else ""
    return Text.assemble(
        (f"{short(row.parked_ms)} ", style(palette.warn)),
        (f"{letter(slot)}{more}", style(palette.model(slot), bold=True)),
    )


COLUMNS = (
    Column("model", 14, _name, left=True),
    Column("prio", 4, _priority),
    Column("FPS", 6, _plain(lambda row: short(row.fps))),
    Column("p50 ms", 6, _plain(lambda row: milliseconds(row.p50_ns))),
    Column("p99 ms", 6, _plain(lambda row: milliseconds(row.p99_ns))),
    Column("60 s", 8, _spark, left=True),
    Column("wait", 5, _plain(lambda row: milliseconds(row.pending_ns)), least=131),
    Column("BPU", 5, _plain(lambda row: milliseconds(row.bpu_ns)), least=131),
    Column("CPU", 5, _plain(lambda row: milliseconds(row.cpu_ns)), least=131),
    Column("queue", 5, _queue),
    Column("took/s", 6, _good(lambda row: rate(row.preempting_per_s))),
    Column("lost/s", 6, _warning(lambda row: rate(row.preempted_per_s))),
    Column("parked ms/s", 11, _parked, least=94),
    Column("took", 5, _good(lambda row: count(row.preempting)), least=146),
    Column("lost", 5, _warning(lambda row: count(row.preempted)), least=146),
    Column("miss", 4, _missed, least=112),
    Column("load", 9, _loads, least=112, left=True),
)


class ModelTable(DataTable[Text]):
    """One row a model; the cursor is the selected model."""

    def __init__(self, *, id: str, palette: Palette) -> None:  # noqa: A002  textual's name for it
        super().__init__(id=id, cursor_type="row", cursor_foreground_priority="renderable")
        self._palette = palette
        self._shown: tuple[object, ...] = ()
        self._names: tuple[str, ...] = ()
        self._columns: tuple[Column, ...] = ()
        self._widths: tuple[int, ...] = ()

    def show(self, rows: tuple[ModelRow, ...], order: Order, width: int, selected: str) -> None:
        """Put the rows in; columns follow the width of the screen.

        Rows that are there already keep their place; after any other change the cursor goes to
        `selected`, or to the first row.
        """
        columns, widths = layout(width)
        names = tuple(row.name for row in rows)
        shown = (columns, widths, names, order)
        if shown != self._shown:
            self._shown, self._names = shown, names
            self._columns, self._widths = columns, widths
            with self.prevent(DataTable.RowHighlighted):
                self._rebuild(rows, order)
                self.move_cursor(row=names.index(selected) if selected in names else 0)
            return
        for row in rows:
            for column, cell in zip(columns, self._cells(row), strict=True):
                if self.get_cell(row.name, column.title) != cell:
                    self.update_cell(row.name, column.title, cell)

    def _rebuild(self, rows: tuple[ModelRow, ...], order: Order) -> None:
        self.clear(columns=True)
        for column, cells in zip(self._columns, self._widths, strict=True):
            title = Text(column.title, justify="left" if column.left else "right")
            if column.title == order.value:
                title.stylize("underline")
            self.add_column(title, width=cells, key=column.title)
        for row in rows:
            self.add_row(*self._cells(row), key=row.name)

    def _cells(self, row: ModelRow) -> list[Text]:
        found = []
        for column, width in zip(self._columns, self._widths, strict=True):
            cell = column.cell(row, width, self._palette)
            cell.justify = "left" if column.left else "right"
            found.append(cell)
        return found


def layout(width: int) -> tuple[tuple[Column, ...], tuple[int, ...]]:
    """The columns that fit into `width` cells and their widths; names and sparkline grow."""
    columns = tuple(column for column in COLUMNS if width >= column.least)
    widths = [column.width for column in columns]
    left = width - sum(widths) - 2 * len(columns)
    for index, column in enumerate(columns):
        if column.cell is _spark:
            grown = max(0, min(left * 2 // 3, 30))
            widths[index] += grown
        elif column.cell is _name:
            widths[index] += max(-4, min(left // 3, 10))
    return columns, tuple(widths)
