"""All boards on one screen: a row each, as many columns as fit; enter opens one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from bpu_host.tui.draw import gauge, sparkline
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.panels import link_text
from bpu_host.tui.scene import BoardRow
from bpu_host.tui.text import gigabytes, milliseconds, rate, short

_BAR = 5

_Cell = Callable[[BoardRow, Palette], Text]


def _text(text: str, palette: Palette) -> Text:
    return Text(text, style(palette.dim if text in {"-", "0", "0.00"} else palette.text))


def _device(row: BoardRow, palette: Palette) -> Text:
    device, _, clock = row.device.partition(", ")
    found = Text(f"{row.machine} {device}".strip(), style(palette.dim))
    if row.stopped:
        found.append(", clock stopped", style(palette.warn))
    elif row.late:
        found.append(", clock late", style(palette.warn))
    elif clock:
        found.append(f", {clock}", style(palette.dim))
    return found


def _cores(row: BoardRow, palette: Palette) -> Text:
    found = Text()
    for percent in row.utilisation:
        found.append(gauge(percent, _BAR), style(palette.good, palette.track))
        found.append(f"{percent:4.0f} % ", style(palette.text))
    return found


def _detail(row: BoardRow, palette: Palette) -> Text:
    """Why there is nothing to see."""
    return Text(row.detail, style(palette.bad))


def _models(row: BoardRow, palette: Palette) -> Text:
    if row.detail:
        return _detail(row, palette)
    return _text(", ".join(row.models) or "-", palette)


def _slowest(row: BoardRow, palette: Palette) -> Text:
    found = _text(milliseconds(row.p99_ns), palette)
    if row.slowest:
        found.append(f" {row.slowest}", style(palette.dim))
    return found


def _spark(row: BoardRow, palette: Palette) -> Text:
    return Text(sparkline(row.utilisation_series, 14, top=100.0), style(palette.good))


COLUMNS: tuple[tuple[str, int, _Cell], ...] = (
    ("board", 12, lambda row, palette: Text(row.label, style(palette.text, bold=True))),
    ("state", 14, lambda row, palette: link_text(row.link, palette)),
    ("device", 29, _device),
    ("FPS", 6, lambda row, palette: _text(short(row.fps), palette)),
    ("cores", 2 * (_BAR + 8), _cores),
    ("p99 ms", 14, _slowest),
    ("lost/s", 6, lambda row, palette: _text(rate(row.lost_per_s), palette)),
    ("queue", 5, lambda row, palette: _text(f"{row.running}+{row.waiting}", palette)),
    ("DDR GB/s", 8, lambda row, palette: _text(gigabytes(row.ddr_bytes_per_s), palette)),
    ("CPU", 5, lambda row, palette: _text(f"{row.cpu:.0f} %", palette)),
    ("models", 40, _models),
    ("cores, 60 s", 14, _spark),
)
"""Title, width and cell, the most important first."""
_LEAST = {"models": 12}
"""Widths below the usual ones that are still worth something."""
_PADDING, _SCROLLBAR = 2, 1


def fitting(width: int) -> dict[str, tuple[int, _Cell]]:
    """The columns of a table of `width`, each as wide as there is room for."""
    found: dict[str, tuple[int, _Cell]] = {}
    for title, usual, cell in COLUMNS:
        room = width - _PADDING
        if room >= _LEAST.get(title, usual):
            found[title] = (min(room, usual), cell)
            width -= found[title][0] + _PADDING
    return found


class BoardsScreen(Screen[None]):
    """Draws rows of boards."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", priority=True),
        Binding("q", "app.quit", "quit"),
    ]

    class Opened(Message):
        """A board was chosen, by its row."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self._palette = palette
        self._cells: dict[tuple[int, str], Text] = {}
        self._columns: dict[str, tuple[int, _Cell]] = {}
        self._rows: Sequence[BoardRow] = ()

    def compose(self) -> ComposeResult:
        yield Static(Text.assemble((" bpu top ", "bold reverse"), "  boards"), id="header")
        yield DataTable[Text](
            id="boards", cursor_type="row", cursor_foreground_priority="renderable"
        )
        yield Static(id="detail")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(DataTable).focus()

    def on_resize(self, event: events.Resize) -> None:
        self._columns = fitting(event.size.width - _SCROLLBAR)
        table = self.query_one(DataTable)
        cursor = table.cursor_row
        table.clear(columns=True)
        self._cells.clear()
        for title, (width, _) in self._columns.items():
            table.add_column(title, width=width, key=title)
        self.show(self._rows)
        table.move_cursor(row=cursor)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        self._explain(event.cursor_row)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        self.post_message(self.Opened(event.cursor_row))

    def action_open(self) -> None:
        self.post_message(self.Opened(self.query_one(DataTable).cursor_row))

    def show(self, rows: Sequence[BoardRow]) -> None:
        """Draw what has changed; the rows are always the same boards."""
        self._rows = rows
        if not self._columns:  # nothing is laid out yet
            return
        table = self.query_one(DataTable)
        for index, row in enumerate(rows):
            cells = {title: cell(row, self._palette) for title, (_, cell) in self._columns.items()}
            if index >= table.row_count:
                table.add_row(*cells.values(), key=str(index))
            for title, cell in cells.items():
                if self._cells.get((index, title)) != cell:
                    self._cells[index, title] = cell
                    table.update_cell(str(index), title, cell)
        self._explain(table.cursor_row)

    def _explain(self, index: int) -> None:
        """The whole reason why a board shows nothing, below the table."""
        if index < len(self._rows):
            self.query_one("#detail", Static).update(_detail(self._rows[index], self._palette))
