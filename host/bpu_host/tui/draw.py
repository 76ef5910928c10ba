"""Drawing on rows of character cells: braille series, block histogram, sparkline."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from bpu_host.tui.palette import Palette, style
from bpu_host.tui.scene import Histogram, Series
from bpu_host.tui.text import milliseconds
from bpu_host.tui.view.models import nice_top
from bpu_host.tui.view.window import SERIES_NS

BLOCKS = " ▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of a braille character by (row, column)."""

GUTTER = 7
"""Cells left of a plot for its scale."""


class Canvas:
    """A block of cells: a character and a style each."""

    def __init__(self, width: int, height: int) -> None:
        self.width = max(0, width)
        self.height = max(0, height)
        self._text = [[" "] * self.width for _ in range(self.height)]
        self._style: list[list[Style]] = [[Style.null()] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, text: str, look: Style, limit: int | None = None) -> None:
        """Write characters of width 1 from (x, y) to the right, clipped to the canvas."""
        if not 0 <= y < self.height:
            return
        end = self.width if limit is None else min(self.width, limit)
        for at, each in enumerate(text, x):
            if 0 <= at < end:
                self._text[y][at] = each
                self._style[y][at] = look

    def free(self, x: int, y: int) -> bool:
        """Nothing was written there."""
        return 0 <= x < self.width and 0 <= y < self.height and self._text[y][x] == " "

    def strips(self) -> list[Strip]:
        """The rows; equal neighbours share a segment."""
        rows = []
        for text, styles in zip(self._text, self._style, strict=True):
            segments: list[Segment] = []
            start = 0
            for at in range(1, self.width + 1):
                if at == self.width or styles[at] is not styles[start]:
                    segments.append(Segment("".join(text[start:at]), styles[start]))
                    start = at
            rows.append(Strip(segments, self.width))
        return rows


def buckets(series: Series, count: int, span_ns: int = SERIES_NS) -> list[float]:
    """The largest value in each of `count` equal times up to now; NaN where there is none.

    Bucket borders stand still in device time, so that a line moves as a whole. What a faulty board
    calls later than its newest value is left out.
    """
    found = [math.nan] * count
    if not series.times_ns or count <= 0:
        return found
    width_ns = span_ns // count
    newest = series.times_ns[-1] // width_ns
    for time_ns, value in zip(reversed(series.times_ns), reversed(series.values), strict=True):
        at = count - 1 - (newest - time_ns // width_ns)
        if at < 0:
            break
        if at < count and not math.isnan(value) and not found[at] >= value:
            found[at] = value
    return found


def sparkline(series: Series, width: int, top: float = 0.0, span_ns: int = SERIES_NS) -> str:
    """One row of blocks, scaled from 0 to `top` (0: a little above the largest value)."""
    values = buckets(series, width, span_ns)
    top = top or 1.15 * max((each for each in values if not math.isnan(each)), default=0.0)
    if top <= 0:
        return " " * width
    return "".join(
        " " if math.isnan(value) else BLOCKS[min(8, max(1, round(value / top * 8)))]
        for value in values
    )


def braille_plot(
    lines: Sequence[tuple[Series, str]], width: int, height: int, palette: Palette
) -> list[Strip]:
    """Series as lines of braille dots over the last minute, with a scale.

    Args:
        lines: series and colour; later ones are drawn over earlier ones. The scale ends at the
            next round number above the largest value.
    """
    canvas = Canvas(width, height)
    rows = height - 1
    columns = width - GUTTER
    if rows < 1 or columns < 4:
        return canvas.strips()
    values = [buckets(series, 2 * columns) for series, _ in lines]
    most = max((v for line in values for v in line if not math.isnan(v)), default=0.0)
    top = nice_top(most * 1e6) / 1e6 if most > 0 else 1.0
    dim = style(palette.dim)
    canvas.put(0, 0, f"{milliseconds(top * 1e6):>5} ┤", dim)
    for y in range(1, rows):
        middle = rows > 4 and y == rows // 2
        canvas.put(0, y, f"{milliseconds(top * 5e5):>5} ┤" if middle else f"{'':5} │", dim)
    if rows > 1:
        canvas.put(0, rows - 1, f"{'0':>5} ┤", dim)
    canvas.put(GUTTER - 1, rows, "└" + "─" * columns, dim)
    canvas.put(GUTTER, rows, "-60 s ", dim)
    canvas.put(width - 4, rows, " now", dim)
    bits = [[0] * columns for _ in range(rows)]
    for line, (_, colour) in zip(values, lines, strict=True):
        look = style(colour)
        for x, y in _trace(line, top, 4 * rows):
            cell = bits[y // 4][x // 2] = bits[y // 4][x // 2] | _DOTS[y % 4][x % 2]
            canvas.put(GUTTER + x // 2, y // 4, chr(0x2800 + cell), look)
    return canvas.strips()


def _trace(values: list[float], top: float, dots: int) -> list[tuple[int, int]]:
    """Dots (x, y from above) of a line; neighbours are joined by vertical runs."""
    found: list[tuple[int, int]] = []
    before = -1
    for x, value in enumerate(values):
        if math.isnan(value):
            before = -1
            continue
        y = dots - 1 - min(dots - 1, max(0, int(value / top * (dots - 1) + 0.5)))
        first, last = (y, y) if before < 0 else (min(y, before), max(y, before))
        if before >= 0 and last > first:  # the earlier dot is there already
            first, last = (first, last - 1) if y < before else (first + 1, last)
        found.extend((x, each) for each in range(first, last + 1))
        before = y
    return found


def histogram_plot(
    histogram: Histogram, slot: int, width: int, height: int, palette: Palette
) -> list[Strip]:
    """Columns of blocks with the range below; a rare value still shows one eighth.

    The largest count stands at the upper right: most columns are at the left.
    """
    canvas = Canvas(width, height)
    rows = height - 1
    if rows < 1 or width < 12:
        return canvas.strips()
    dim = style(palette.dim)
    counts = histogram.counts
    if not counts:
        canvas.put(0, max(0, rows // 2), "no function calls yet", dim)
        return canvas.strips()
    most = max(counts)
    look = style(palette.model(slot))
    for x in range(width):
        first = x * len(counts) // width
        count = max(counts[first : max(first + 1, (x + 1) * len(counts) // width)])
        eighths = math.ceil(count / most * rows * 8)
        for row in range(rows):
            part = min(8, max(0, eighths - 8 * row))
            if part:
                canvas.put(x, rows - 1 - row, BLOCKS[part], look)
    label = f"at most {most}"
    if rows > 4 and all(canvas.free(x, 0) for x in range(width - len(label) - 1, width)):
        canvas.put(width - len(label), 0, label, dim)
    canvas.put(0, rows, "─" * width, dim)
    canvas.put(0, rows, "0 ", dim)
    top = f" {milliseconds(histogram.top_ns)} ms"
    canvas.put(width - len(top), rows, top, dim)
    return canvas.strips()


def gauge(percent: float, width: int) -> str:
    """A bar of eighths of blocks, `width` cells."""
    eighths = round(min(100.0, max(0.0, percent)) / 100 * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width)
