"""What is made again whenever it is lost, and closed once: connections, routes, processes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from bpu_common.errors import BoardUnreachable

_T = TypeVar("_T")


class Renewed(Generic[_T]):
    """The newest of what one thread makes while another may close; thread-safe.

    Making one may take long (a network, a prompt), so it happens without a lock, and `close` waits
    for nobody: what is ready only afterwards is ended by `keep`, never kept.

    Args:
        end: closes one; called outside the lock.
    """

    def __init__(self, end: Callable[[_T], None]) -> None:
        self._end = end
        self._lock = Lock()
        self._newest: _T | None = None
        self._closed = False

    @property
    def newest(self) -> _T | None:
        """The one that was kept last; None before the first and after `close`."""
        return self._newest

    def check_open(self) -> None:
        """See that making another one is not in vain.

        Raises:
            BoardUnreachable: it was closed.
        """
        if self._closed:
            raise BoardUnreachable("the connection was closed")

    def keep(self, made: _T) -> _T:
        """Keep what was made; the one before is ended.

        Raises:
            BoardUnreachable: it was closed meanwhile; `made` is ended.
        """
        with self._lock:
            if closed := self._closed:
                before: _T | None = made
            else:
                before, self._newest = self._newest, made
        if before is not None:
            self._end(before)
        if closed:
            self.check_open()
        return made

    def close(self) -> None:
        """End the newest; every later one is ended as soon as it is made."""
        with self._lock:
            self._closed = True
            before, self._newest = self._newest, None
        if before is not None:
            self._end(before)
