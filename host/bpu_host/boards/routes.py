"""From the name of a board to an address that a client can dial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bpu_common.errors import UsageError
from bpu_host.boards.inventory import BoardEntry, Inventory

if TYPE_CHECKING:
    from bpu_host.remote.ssh import Route


def is_name(address: str) -> bool:
    """The address names a board of the inventory; the others have a colon."""
    return ":" not in address


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """To an agent that can be dialled as it is, on this machine."""

    address: str
    alive: bool = True

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


def route_to(name: str) -> Route:
    """A route to a board of the inventory, the daemon's if it runs; close it.

    Raises:
        BpuError: there is no such board, or it cannot be reached.
    """
    inventory = Inventory()
    entry = inventory.find(name)
    if entry is None and not inventory.entries():
        raise UsageError(
            f"{name!r} is not the address of an agent, and there are no boards",
            hint=f"give unix:PATH or HOST:PORT, or add a board: `bpu boards add {name} USER@HOST`",
        )
    entry = inventory.get(name)
    if entry.address:
        return DirectRoute(entry.address)
    from bpu_host.daemon.route import daemon_route  # gRPC only where it is needed

    return daemon_route(name, lambda: open_entry(entry)) or open_entry(entry)


@contextlib.contextmanager
def resolve(name: str) -> Iterator[str]:
    """The address of a board's agent on this machine, as long as the block runs.

    Raises:
        BpuError: there is no such board, or it cannot be reached.
    """
    route = route_to(name)
    try:
        yield route.address
    finally:
        route.close()
