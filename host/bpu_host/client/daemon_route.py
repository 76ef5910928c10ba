"""A board reached through the daemon's connection, or an own one once the daemon is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bpu_host.daemon.client import resolve

if TYPE_CHECKING:
    from bpu_host.remote.ssh import Route


class DaemonRoute:
    """Not for several threads at once. `address` may be another one after `recover`.

    Args:
        name: of the board.
        open_own: opens a route without the daemon.
    """

    def __init__(self, name: str, address: str, open_own: Callable[[], Route]) -> None:
        self._name = name
        self._address = address
        self._open_own = open_own
        self._own: Route | None = None

    @property
    def address(self) -> str:
        return self._address if self._own is None else self._own.address

    @property
    def alive(self) -> bool:
        return self._own is None or self._own.alive

    def recover(self) -> None:
        """See that the board is reached: by the daemon, started again if it died, or without it.

        Raises:
            BpuError: the board is not reached.
        """
        if self._own is not None:
            self._own.recover()
            return
        address = resolve(self._name)
        if address is None:
            self._own = self._open_own()
        else:
            self._address = address

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


def daemon_route(name: str, open_own: Callable[[], Route]) -> DaemonRoute | None:
    """A route through the daemon; None if it does not run, or is not connected to the board."""
    address = resolve(name)
    return None if address is None else DaemonRoute(name, address, open_own)
