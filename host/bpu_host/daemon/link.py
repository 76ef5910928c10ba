"""The connection to one board: a thread that makes it, reads telemetry from it, makes it again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias

import grpc

from bpu_common.errors import BoardUnreachable, BpuError
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import BoardClient, open_channel
from bpu_host.boards.inventory import BoardEntry
from bpu_host.daemon.backoff import Backoff
from bpu_host.remote.route import Route

logger = logging.getLogger(__name__)

STALLED_S = 10.0
"""A board whose telemetry stops for so long is taken for lost."""

_ANSWER_S = 5.0
_SOUND_AFTER_S = 5.0  # a connection that breaks sooner counts as one more failure


OpenRoute: TypeAlias = Callable[[BoardEntry], Route]
"""Makes a route, blocking; raises a BpuError."""


class LinkListener(Protocol):
    """Hears from links, each on the link's own thread."""

    def connecting(self, link: Link) -> None: ...

    def up(self, link: Link, address: str) -> None: ...

    def frame(self, link: Link, data: bytes) -> None: ...

    def down(self, link: Link, error: BpuError, attempts: int, retry_s: float) -> None: ...


class Link:
    """Keeps one board connected from `start` to `stop`."""

    def __init__(
        self, entry: BoardEntry, open_route: OpenRoute, listener: LinkListener, backoff: Backoff
    ) -> None:
        self.entry = entry
        self._open_route = open_route
        self._listener = listener
        self._backoff = backoff
        self._stopping = False
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._channel: grpc.Channel | None = None
        self._heard_s = time.monotonic()
        self._stalled = False
        self._thread = threading.Thread(target=self._run, name=f"link {entry.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; does not wait."""
        self._stopping = True
        self._wake.set()
        self.cut()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end, but not for ever; whether it has ended."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._close_route()
        return not self._thread.is_alive()

    def nudge(self) -> None:
        """Try now instead of waiting longer."""
        self._wake.set()

    def cut(self) -> None:
        """Give the present connection up."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()

    def cut_if_stalled(self) -> None:
        """Give up a connection that has been silent for too long."""
        with self._lock:
            connected = self._channel is not None
        if connected and time.monotonic() - self._heard_s > STALLED_S:
            logger.warning("%s: no telemetry for %g s", self.entry.name, STALLED_S)
            self._stalled = True
            self.cut()

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            self._close_route()

    def _close_route(self) -> None:
        route = self._route
        if route is not None:
            route.close()

    def _keep_connected(self) -> None:
        name = self.entry.name
        said = ""  # the same failure is told once
        while not self._stopping:
            self._wake.clear()
            self._listener.connecting(self)
            error = self._connect_and_read()
            if self._stopping:
                return
            wait_s = self._backoff.failed()
            level = logging.DEBUG if error.message == said else logging.WARNING
            logger.log(level, "%s: %s; again in %.1f s", name, error.message, wait_s)
            said = error.message
            self._listener.down(self, error, self._backoff.failures, wait_s)
            self._wake.wait(wait_s)

    def _connect_and_read(self) -> BpuError:
        """One connection from its beginning to its end; returns what ended it."""
        try:
            if self._route is None:
                self._route = self._open_route(self.entry)
            else:
                self._route.recover()  # its address stays: clients that use it need not know
            self._read(self._route.address)
        except BpuError as error:
            if self._stalled:
                return BoardUnreachable(f"no telemetry for {STALLED_S:g} s", where=self.entry.name)
            return error
        except Exception as error:  # the thread goes on, the log has the details
            logger.exception("%s: unexpected failure", self.entry.name)
            return BpuError(f"unexpected failure: {error}", where=self.entry.name)
        return BoardUnreachable("the agent ended the connection", where=self.entry.name)

    def _read(self, address: str) -> None:
        channel = open_channel(parse_address(address))
        self._heard_s = time.monotonic()
        self._stalled = False
        with self._lock:
            self._channel = channel
        try:
            if self._stopping:
                return
            client = BoardClient(channel, self.entry.name)
            client.capabilities(_ANSWER_S)
            began_s = time.monotonic()
            self._listener.up(self, address)
            for data in client.telemetry_bytes():
                self._heard_s = time.monotonic()
                if self._heard_s - began_s > _SOUND_AFTER_S:
                    self._backoff.succeeded()
                self._listener.frame(self, data)
        except ValueError as error:  # how gRPC says that the channel was closed meanwhile
            raise BoardUnreachable("the connection was given up", where=address) from error
        finally:
            with self._lock:
                self._channel = None
            channel.close()
