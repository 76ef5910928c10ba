"""Words for people."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """The count with its noun, whose plural has an s: "1 thread", "2 threads"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
