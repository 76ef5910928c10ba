"""From the name of a board to its agent."""

from __future__ import annotations

from bpu_common.environment import BOARD
from bpu_common.errors import BpuError, UsageError
from bpu_host.boards.inventory import Inventory
from bpu_host.boards.routes import DirectRoute, open_entry
from bpu_host.client.daemon_route import daemon_route
from bpu_host.remote.board import CONNECT_S, Board
from bpu_host.remote.route import Route


def is_name(board: str) -> bool:
    """It names a board of the inventory; addresses have a colon."""
    return ":" not in board


def default_board() -> str:
    """The board that is meant when none is named: that of BPU_BOARD, else the only one there is.

    Raises:
        UsageError: the inventory holds none, or several.
    """
    if named := BOARD.value:
        return named
    names = [entry.name for entry in Inventory().entries()]
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            "no board is named, and there are none",
            hint="name an agent at unix:PATH or HOST:PORT, or add a board: "
            "`bpu boards add NAME USER@HOST`",
        )
    raise UsageError(
        f"no board is named, and there are {len(names)}",
        hint=f"name one of {', '.join(names)}, or set {BOARD.name}",
    )


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
    return daemon_route(name, lambda: open_entry(entry)) or open_entry(entry)


def connect(board: str, *, timeout_s: float = CONNECT_S) -> Board:
    """Connect to a board and see that its agent answers; close it, or use it in a `with` block.

    Args:
        board: the name of a board of the inventory, which is reached through SSH, or the address of
            an agent: `unix:PATH` or `HOST:PORT`.

    Raises:
        UsageError: not an address, and not the name of a board.
        BoardUnreachable: nothing answers there.
    """
    try:
        if not is_name(board):
            return Board.connect(board, timeout_s=timeout_s)
        route = route_to(board)
        return Board.connect(route.address, route=route, name=board, timeout_s=timeout_s)
    except BpuError as error:
        if board == BOARD.value:  # nobody sees it on the command line
            source = f"the board is that of {BOARD.name}"
            error.hint = f"{error.hint}; {source}" if error.hint else source
        raise
