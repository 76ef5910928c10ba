"""Colours: one per model, told apart also by people who see few colours; and the theme."""

from __future__ import annotations

from functools import cache

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

MODEL_COLOURS = (
    "#5aa9ff",  # blue
    "#ff9f45",  # orange
    "#35d0a0",  # green
    "#f277c6",  # pink
    "#f2d64b",  # yellow
    "#4fd8eb",  # cyan
    "#ff7b72",  # red
    "#b392f0",  # violet
)
UNKNOWN = "#8b949e"
BACKGROUND = "#0d1117"
TRACK = "#21262d"
TEXT = "#e6edf3"
DIM = "#8b949e"
GOOD = "#3fb950"
WARN = "#d29922"
BAD = "#ff6b63"
ACCENT = "#5aa9ff"
_SHADE = 0.28

THEME = Theme(
    name="bpu",
    primary=ACCENT,
    secondary="#35d0a0",
    accent="#ff9f45",
    foreground=TEXT,
    background=BACKGROUND,
    surface="#161b22",
    panel="#30363d",
    success=GOOD,
    warning=WARN,
    error=BAD,
    dark=True,
)


def model_colour(slot: int) -> str:
    """The colour of a model, by its slot; grey for -1."""
    return MODEL_COLOURS[slot % len(MODEL_COLOURS)] if slot >= 0 else UNKNOWN


@cache
def shade(colour: str, odd: bool) -> str:
    """The colour, or a darker one: neighbouring function calls alternate."""
    return Color.parse(colour).darken(_SHADE / 2).hex if odd else colour


@cache
def style(colour: str = "", background: str = "", *, bold: bool = False) -> Style:
    """A style from `#rrggbb` colours; empty leaves one out."""
    return Style(
        color=RichColor.parse(colour) if colour else None,
        bgcolor=RichColor.parse(background) if background else None,
        bold=bold or None,
    )


def load_colour(percent: float) -> str:
    """Green, yellow, red."""
    return GOOD if percent < 60 else WARN if percent < 90 else BAD
