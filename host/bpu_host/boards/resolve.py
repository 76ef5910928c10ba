"""From the name of a board to an address that a client can dial."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bpu_common.errors import UsageError
from bpu_host.boards.access import open_route
from bpu_host.boards.inventory import Inventory
from bpu_host.remote.ssh import Route


def is_name(address: str) -> bool:
    """The address names a board of the inventory; the others have a colon."""
    return ":" not in address


def route_to(name: str) -> Route:
    """A route to a board of the inventory; close it.

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
    return open_route(inventory.get(name))


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
