"""This process's own way to a board of the inventory."""

from __future__ import annotations

from dataclasses import dataclass

from bpu_host.boards.inventory import BoardEntry
from bpu_host.remote.route import Route


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """To an agent that can be dialled as it is, on this machine."""

    address: str

    def recover(self) -> None:
        """Nothing lies between."""

    def close(self) -> None:
        """Nothing is open."""


def open_entry(entry: BoardEntry) -> Route:
    """A route to a board by this process itself; close it.

    Raises:
        BpuError: it cannot be reached.
    """
    if entry.address:
        return DirectRoute(entry.address)
    from bpu_host.boards.access import open_route  # SSH only where it is needed: it is slow to load

    return open_route(entry)
