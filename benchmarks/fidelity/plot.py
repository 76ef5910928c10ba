"""Predicted over published latency, as a picture for the documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

SIDE, MARGIN = 420, 50
LOWEST_MS, HIGHEST_MS = 1.0, 3000.0


def svg(points: Sequence[tuple[str, float, float]]) -> str:
    """Points (label, published ms, predicted ms) on two logarithmic axes, with 10 % lines."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">',
        "<style>text{font:11px sans-serif}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for tick in (1, 10, 100, 1000):
        at = _at(tick)
        parts += [
            f'<path d="M{at} {SIDE - MARGIN}V{MARGIN}" stroke="#ddd"/>',
            f'<path d="M{MARGIN} {SIDE - at}H{SIDE - MARGIN}" stroke="#ddd"/>',
            f'<text x="{at}" y="{SIDE - MARGIN + 16}" text-anchor="middle">{tick}</text>',
            f'<text x="{MARGIN - 6}" y="{SIDE - at + 4}" text-anchor="end">{tick}</text>',
        ]
    for factor, style in ((1.0, "#888"), (1.1, "#bbb"), (0.9, "#bbb")):
        low, high = LOWEST_MS * max(1, 1 / factor), HIGHEST_MS / max(1, factor)
        ends = (_at(low), SIDE - _at(low * factor), _at(high), SIDE - _at(high * factor))
        parts.append('<path d="M{} {}L{} {}" stroke="{}"/>'.format(*ends, style))
    for label, published_ms, predicted_ms in points:
        parts.append(
            f'<circle cx="{_at(published_ms)}" cy="{SIDE - _at(predicted_ms)}" r="3.5" '
            f'fill="#2b6cb0" fill-opacity="0.6"><title>{label}: published {published_ms} ms, '
            f"predicted {predicted_ms:.2f} ms</title></circle>"
        )
    parts += [
        f'<text x="{SIDE / 2}" y="{SIDE - 12}" text-anchor="middle">published, ms</text>',
        f'<text transform="translate(14 {SIDE / 2}) rotate(-90)">predicted, ms</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _at(value_ms: float) -> float:
    share = math.log(value_ms / LOWEST_MS) / math.log(HIGHEST_MS / LOWEST_MS)
    return round(MARGIN + share * (SIDE - 2 * MARGIN), 1)
