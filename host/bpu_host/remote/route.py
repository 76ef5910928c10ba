"""A way to an agent."""

from __future__ import annotations

from typing import Protocol


class Route(Protocol):
    """A way to an agent that stays open until `close`; a client dials `address`."""

    @property
    def address(self) -> str:
        """`unix:PATH` or `HOST:PORT` on this machine; another one after `recover`, perhaps."""

    def recover(self) -> None:
        """See that the board is reached and the agent answers, again if need be; blocks.

        Raises:
            BpuError: why not.
        """

    def close(self) -> None:
        """Close it and everything that goes through it."""
