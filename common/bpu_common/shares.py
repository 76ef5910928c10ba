"""How clients share places that nobody may take from all others.

A client gets one more place as long as it holds fewer than are free (dynamic thresholds: Choudhury
and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998). So one client
alone holds half of the places at most, n that want all they can get hold a share of 1/(n + 1) each,
and as much is free: whoever comes new finds a place at once.
"""

from __future__ import annotations

OWN = ""
"""The client of what a program does by itself, and of a program that has one user only."""


def places_for(alone: int) -> int:
    """How many places there must be, so that one client alone may have `alone` of them."""
    return 2 * alone


def may_take(held: int, free: int, amount: int = 1) -> bool:
    """Whether a client that holds `held` places may take `amount` more of `free` ones."""
    return held + amount <= free - amount + 1


class Shares:
    """Who holds how many of `total` places; a client without any is not remembered."""

    __slots__ = ("_free", "_held")

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: dict[str, int] = {}

    @property
    def free(self) -> int:
        return self._free

    def held(self, client: str) -> int:
        """Places of one client."""
        return self._held.get(client, 0)

    def take(self, client: str, amount: int = 1) -> bool:
        """Give `client` places; False, and nothing changed, if that is more than its share."""
        held = self._held.get(client, 0)
        if not may_take(held, self._free, amount):
            return False
        self._held[client] = held + amount
        self._free -= amount
        return True

    def give(self, client: str, amount: int = 1) -> None:
        """Places come back."""
        self._free += amount
        left = self._held.get(client, 0) - amount
        if left:
            self._held[client] = left
        else:
            self._held.pop(client, None)
