"""Colours: one per model, told apart also by people who see few colours; dark, light, terminal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from bpu_common.environment import COLORFGBG

_SHADE = 0.14


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a screen, as `#rrggbb` or names that `rich` knows.

    Attributes:
        theme: name of the textual theme that goes with it.
        models: by slot, each with the other shade that every second function call has.
        background: behind everything, and text on bars.
        track: the empty part of bars; `line`: the second line of a plot.
    """

    theme: str
    models: tuple[tuple[str, str], ...]
    background: str
    track: str
    text: str
    line: str
    dim: str
    good: str
    warn: str
    bad: str
    accent: str

    def model(self, slot: int) -> str:
        """The colour of a model; that of what is unknown for -1."""
        return self.shade(slot, odd=False)

    def shade(self, slot: int, *, odd: bool) -> str:
        """The colour of a function call: neighbours alternate."""
        return self.models[slot % len(self.models)][odd] if slot >= 0 else self.dim

    def load(self, percent: float) -> str:
        """Green, yellow, red."""
        return self.good if percent < 60 else self.warn if percent < 90 else self.bad


def _shaded(*colours: str) -> tuple[tuple[str, str], ...]:
    return tuple((each, Color.parse(each).darken(_SHADE).hex) for each in colours)


DARK = Palette(
    theme="bpu-dark",
    # blue, orange, green, pink, yellow, cyan, red, violet
    models=_shaded(
        "#5aa9ff", "#ff9f45", "#35d0a0", "#f277c6", "#f2d64b", "#4fd8eb", "#ff7b72", "#b392f0"
    ),
    background="#0d1117",
    track="#21262d",
    text="#e6edf3",
    line="#e6edf3",
    dim="#8b949e",
    good="#3fb950",
    warn="#d29922",
    bad="#ff6b63",
    accent="#5aa9ff",
)
LIGHT = Palette(
    theme="bpu-light",
    models=_shaded(
        "#1f6feb", "#c2560c", "#12805c", "#b83280", "#8a6a00", "#0e7490", "#c62828", "#7c4dcc"
    ),
    background="#ffffff",
    track="#dfe4ea",
    text="#1f2328",
    line="#57606a",
    dim="#656d76",
    good="#1a7f37",
    warn="#9a6700",
    bad="#cf222e",
    accent="#0969da",
)
TERMINAL = Palette(
    theme="ansi-dark",
    models=tuple(
        (f"bright_{each}", each)
        for each in ("blue", "yellow", "green", "magenta", "cyan", "red", "white")
    ),
    background="black",
    track="bright_black",
    text="default",
    line="default",
    dim="bright_black",
    good="green",
    warn="yellow",
    bad="red",
    accent="blue",
)
PALETTES = {"dark": DARK, "light": LIGHT, "terminal": TERMINAL}


def default_palette() -> Palette:
    """Light where the terminal says so in COLORFGBG ("0;15": dark text on white), else dark."""
    background = COLORFGBG.value.rpartition(";")[2]
    return LIGHT if background in {"7", "15"} else DARK


THEMES = (
    Theme(
        name=DARK.theme,
        primary=DARK.accent,
        secondary="#35d0a0",
        accent="#ff9f45",
        foreground=DARK.text,
        background=DARK.background,
        surface="#161b22",
        panel="#30363d",
        success=DARK.good,
        warning=DARK.warn,
        error=DARK.bad,
        dark=True,
    ),
    Theme(
        name=LIGHT.theme,
        primary=LIGHT.accent,
        secondary="#12805c",
        accent="#c2560c",
        foreground=LIGHT.text,
        background=LIGHT.background,
        surface="#f3f5f8",
        panel="#d0d7de",
        success=LIGHT.good,
        warning=LIGHT.warn,
        error=LIGHT.bad,
        dark=False,
    ),
)


@cache
def style(colour: str = "", background: str = "", *, bold: bool = False) -> Style:
    """A style from colours of a palette; empty leaves one out."""
    return Style(
        color=RichColor.parse(colour) if colour else None,
        bgcolor=RichColor.parse(background) if background else None,
        bold=bold or None,
    )
