"""The daemon's process: lock, socket, service, end."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable

import grpc.aio

from bpu_common import __version__
from bpu_common.errors import UsageError
from bpu_common.files import SingleLock
from bpu_common.wire.rpc.address import Address, parse_address
from bpu_common.wire.rpc.daemon_server import add_daemon_service
from bpu_common.wire.rpc.intake import Intake
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from bpu_host.boards.inventory import Inventory
from bpu_host.daemon.files import DaemonFiles, Record, remove, write_record
from bpu_host.daemon.hub import Hub
from bpu_host.daemon.joblog import JobLog
from bpu_host.daemon.jobs import JobRunner
from bpu_host.daemon.link import OpenRoute
from bpu_host.daemon.service import Service

logger = logging.getLogger(__name__)

_GRACE_S = 2.0


async def serve(
    files: DaemonFiles,
    inventory: Inventory,
    open_route: OpenRoute,
    on_ready: Callable[[Record], None],
) -> bool:
    """Be the daemon of this user until SIGTERM, SIGINT or a client's request.

    Args:
        on_ready: called once clients are answered.

    Returns:
        Whether every thread has ended; if not, one hangs in the network.

    Raises:
        UsageError: another one runs, or its files cannot be used.
    """
    address = parse_address(files.address)
    lock = SingleLock(
        files.lock,
        "another bpud of this user runs",
        "see it with `bpud status`, end it with `bpud stop`",
    )
    try:
        record = Record(os.getpid(), secrets.token_hex(8), __version__)
        log = await asyncio.to_thread(JobLog, files.jobs, time.time_ns())
        service = Service(record, files.address, time.time_ns())
        service.hub = Hub(inventory, open_route)
        service.runner = JobRunner(log, service.hub)
        _stop_on_signals(service)
        write_record(files.record, record)  # before the socket: who can dial it can read it
        server = _bind(service, address, files)
        await service.hub.start()
        await server.start()
        try:
            on_ready(record)
            await service.stopping.wait()
            logger.info("stopping")
        finally:
            await service.runner.close()
            ended = await service.hub.stop()
            await server.stop(_GRACE_S)
            remove(files.socket, files.record)
    finally:
        lock.release()
    return ended


def _stop_on_signals(service: Service) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)


def _bind(service: Service, address: Address, files: DaemonFiles) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=(Intake(),), options=CHANNEL_OPTIONS, maximum_concurrent_rpcs=Intake.most_calls
    )
    add_daemon_service(server, service)
    remove(files.socket)  # we hold the lock: whoever made it is gone
    mask = os.umask(0o177)
    try:
        bound = server.add_insecure_port(address.target)
    except RuntimeError:
        bound = 0
    finally:
        os.umask(mask)
    if not bound:
        raise UsageError("the socket cannot be made", where=files.address)
    files.socket.chmod(0o600)
    return server
