"""Values that are allowed and hardly meant: mean and scale in the units of another tool."""

from __future__ import annotations

from collections.abc import Iterable

from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.findings import Finding

_FULL = 255
_DEVIATIONS = (0.15, 1)
"""Where standard deviations of pixels of 0..1 lie; a factor for pixels of 0..255 is smaller."""


def doubts(config: CompileConfig) -> tuple[Finding, ...]:
    """What a resolved configuration probably means otherwise."""
    found = (doubt(item) for item in config.inputs for doubt in (_about_mean, _about_scale))
    return tuple(finding for finding in found if finding is not None)


def _about_mean(item: InputConfig) -> Finding | None:
    """Means of pixels of 0..1, as other frameworks have them."""
    if not item.rt_type.is_image or not item.mean or not all(0 < m < 1 for m in item.mean):
        return None
    return Finding(
        f"mean_value of input '{item.name}'",
        f"{_text(item.mean)} is hardly more than nothing for pixels of 0 to {_FULL}",
        f"if it was made for pixels of 0 to 1, write {_text(m * _FULL for m in item.mean)}",
    )


def _about_scale(item: InputConfig) -> Finding | None:
    """A standard deviation: pixels are multiplied by the scale, not divided."""
    if not item.rt_type.is_image or not item.scale:
        return None
    least, most = _DEVIATIONS
    if any(value > 1 for value in item.scale):
        factors = [1 / value for value in item.scale if value]
    elif all(least < value < most for value in item.scale):
        factors = [1 / (value * _FULL) for value in item.scale]
    else:
        return None
    return Finding(
        f"scale_value of input '{item.name}'",
        f"pixels are multiplied by {_text(item.scale)}, which looks like a standard deviation",
        f"a standard deviation divides: write {_text(factors)}",
    )


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
