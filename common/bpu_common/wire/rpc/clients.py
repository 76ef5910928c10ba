"""Who calls a server, and places that clients share.

A client is a connection as the operating system tells it (`peer` of gRPC): of TCP its address and
port. Nothing that a caller says of itself counts. Connections to a unix socket have no names of
their own: they are one client together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bpu_common.errors import CapacityError
from bpu_common.shares import OWN, Shares, may_take, places_for

_FEW_CALLS = 8
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Caller:
    """The client whose call is served, and the book of calls that it stands in."""

    name: str = OWN
    calls: Shares | None = None


CALLER: ContextVar[Caller] = ContextVar("CALLER", default=Caller())  # noqa: B039  frozen


def caller() -> str:
    """The client whose call runs here."""
    return CALLER.get().name


async def before_refusal() -> None:
    """Let a client with more than a few calls wait before it hears that there is no capacity.

    One that tries again at once would keep the thread that serves everybody busy with refusals.
    """
    found = CALLER.get()
    if found.calls is not None and found.calls.held(found.name) > _FEW_CALLS:
        await asyncio.sleep(_PAUSE_S)


class Places:
    """Places for which clients wait, each in its own line; `alone` for a client alone."""

    def __init__(self, alone: int) -> None:
        self._shares = Shares(places_for(alone))
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    def full(self, client: str) -> bool:
        """Whether a client would have to wait."""
        return not may_take(self._shares.held(client), self._shares.free)

    @asynccontextmanager
    async def take(self, client: str, what: str, patience_s: float) -> AsyncIterator[None]:
        """A place, given back at the end.

        Raises:
            CapacityError: there was none for so long.
        """
        if client in self._lines or not self._shares.take(client):
            await self._wait(client, what, patience_s)
        try:
            yield
        finally:
            self._give(client)

    async def _wait(self, client: str, what: str, patience_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        try:
            await asyncio.wait_for(turn, patience_s)
        except asyncio.TimeoutError:  # another class before Python 3.11
            self._leave(client, turn)
            raise CapacityError(
                f"as many {what} as this server takes at once", hint="try again later"
            ) from None
        except asyncio.CancelledError:
            self._leave(client, turn)
            raise

    def _leave(self, client: str, turn: asyncio.Future[None]) -> None:
        """Wait no longer; a place that has come meanwhile goes back."""
        if turn.done() and not turn.cancelled():
            self._give(client)
            return
        line = self._lines[client]
        line.remove(turn)
        if not line:
            del self._lines[client]

    def _give(self, client: str) -> None:
        """A place comes back; the first in each line that may have one gets it, in turn."""
        self._shares.give(client)
        for name in tuple(self._lines):
            line = self._lines[name]
            if not self._shares.take(name):
                continue
            turn = line.popleft()
            del self._lines[name]
            if line:
                self._lines[name] = line  # behind the others
            turn.set_result(None)
