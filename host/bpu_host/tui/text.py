"""Numbers as short text."""

from __future__ import annotations


def milliseconds(nanoseconds: float | None) -> str:
    """Milliseconds in at most five characters, three digits; `-` for None."""
    return "-" if nanoseconds is None else short(nanoseconds / 1e6)


def short(value: float) -> str:
    """Three digits: 0.12, 1.23, 12.3, 123, 1234."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def count(value: int) -> str:
    """A counter in at most six characters."""
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value / 1000:.0f}k" if value >= 100_000 else str(value)


def rate(value: float) -> str:
    """Something a second in at most five characters."""
    return "0" if value == 0 else short(value) if value < 9_999.5 else count(round(value))


def gigabytes(value: float) -> str:
    """Bytes as GB, of 10^9: a bandwidth."""
    return short(value / 1e9)


def size(value: int) -> str:
    """Bytes in binary units."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def span(nanoseconds: int) -> str:
    """A time span: 20 ms, 1 s."""
    if nanoseconds % 1_000_000_000 == 0:
        return f"{nanoseconds // 1_000_000_000} s"
    return f"{nanoseconds / 1e6:g} ms"


def uptime(seconds: float) -> str:
    """H:MM:SS."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
