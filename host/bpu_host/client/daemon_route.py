"""A board reached through the daemon's connection, or an own one once the daemon is gone."""

from __future__ import annotations

from collections.abc import Callable

from bpu_host.daemon.client import resolve
from bpu_host.remote.renewed import Renewed
from bpu_host.remote.route import Route


class DaemonRoute:
    """`recover` is not for several threads at once. `address` may be another one after it.

    Args:
        name: of the board.
        open_own: opens a route without the daemon.
    """

    def __init__(self, name: str, address: str, open_own: Callable[[], Route]) -> None:
        self._name = name
        self._address = address
        self._open_own = open_own
        self._own: Renewed[Route] = Renewed(lambda route: route.close())

    @property
    def address(self) -> str:
        own = self._own.newest
        return self._address if own is None else own.address

    def recover(self) -> None:
        """See that the board is reached: by the daemon, started again if it died, or without it.

        Raises:
            BpuError: the board is not reached.
        """
        self._own.check_open()
        own = self._own.newest
        if own is not None:
            own.recover()
            return
        address = resolve(self._name)
        if address is None:
            self._own.keep(self._open_own())
        else:
            self._address = address

    def close(self) -> None:
        self._own.close()


def daemon_route(name: str, open_own: Callable[[], Route]) -> DaemonRoute | None:
    """A route through the daemon; None if it does not run, or is not connected to the board."""
    address = resolve(name)
    return None if address is None else DaemonRoute(name, address, open_own)
