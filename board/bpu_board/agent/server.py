"""Binding, serving and stopping an agent."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import grpc.aio
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bpu_board.agent.reflected import Pools
from bpu_board.agent.servicer import RuntimeServicer
from bpu_board.runtime import Runtime
from bpu_common.errors import UsageError
from bpu_common.wire.messages import inference as messages
from bpu_common.wire.rpc.address import Address
from bpu_common.wire.rpc.client import SERVICE
from bpu_common.wire.rpc.inference import add_inference_service
from bpu_common.wire.rpc.intake import Intake
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from bpu_common.wire.rpc.server import add_board_service

_POOL = descriptor_pool.Default()

logger = logging.getLogger(__name__)

_GRACE_S = 5.0
_HANDSHAKE_MS = 10_000
"""A connection that has not said what it wants after so long is closed: it holds a descriptor."""
_WINDOW_BYTES = 1 << 20
"""What each call may send ahead; smaller ones make requests of 600 KB slower."""

_SERVER_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.max_concurrent_streams", Intake.streams_per_connection),
    ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
    # What has not been read waits at the client, not here: no window grows with the connection.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
    ("grpc.so_reuseport", 0),  # a second agent on the port must fail, not share it
)


def check_listen(address: Address) -> None:
    """Refuse what other machines could reach: the agent has no authentication of its own.

    Raises:
        UsageError: neither a unix socket nor a loopback address, or a path that is in use.
    """
    if not address.is_local:
        raise UsageError(
            "the agent listens on a unix socket or a loopback address only",
            where=str(address),
            hint="listen on unix:PATH and reach it through SSH",
        )
    if address.path:
        _check_socket_path(Path(address.path))


async def serve(runtime: Runtime, address: Address, on_ready: Callable[[Address], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let calls in flight finish for up to 5 s.

    Args:
        on_ready: called once the address accepts calls (port 0 has become a real port).

    Raises:
        UsageError: the address may not be used or is in use.
    """
    check_listen(address)
    server = grpc.aio.server(
        interceptors=(Intake(),),
        options=_SERVER_OPTIONS,
        maximum_concurrent_rpcs=Intake.most_calls,
    )
    servicer = RuntimeServicer(runtime)
    add_board_service(server, servicer)
    add_inference_service(server, servicer.inference)
    vitals = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in its stubs
    health_pb2_grpc.add_HealthServicer_to_server(vitals, server)
    vitals_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    names = (SERVICE, messages.SERVICE, vitals_name)
    pools = cast("descriptor_pool.DescriptorPool", Pools(_POOL, messages.POOL))
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server, pool=pools)
    bound = _bind(server, address)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start()
    services = ("", *names)
    for name in services:
        await vitals.set(name, health_pb2.HealthCheckResponse.SERVING)
    watching = asyncio.create_task(_watch_device(servicer, vitals, services))
    try:
        on_ready(bound)
        await stop.wait()
        logger.info("stopping")
    finally:
        watching.cancel()
        await vitals.enter_graceful_shutdown()
        servicer.stop()
        await server.stop(_GRACE_S)
        _remove_socket(address)


async def _watch_device(
    servicer: RuntimeServicer,
    vitals: health.aio.HealthServicer,  # type: ignore[name-defined]  # missing in its stubs
    services: tuple[str, ...],
) -> None:
    """Say NOT_SERVING once the device works no more; clients are answered all the same."""
    if reason := await servicer.device_failure():
        logger.error("%s", reason)
        for name in services:
            await vitals.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)


def _remove_socket(address: Address) -> None:
    if address.path:
        with contextlib.suppress(OSError):
            Path(address.path).unlink()


def _bind(server: grpc.aio.Server, address: Address) -> Address:
    try:
        with _private_files():
            port = server.add_insecure_port(address.target)
    except RuntimeError:
        port = 0
    if not port:
        raise UsageError(
            "the address cannot be used: it is in use or does not exist on this machine",
            where=str(address),
            hint="choose another, or stop the agent that listens there",
        )
    if address.path:
        Path(address.path).chmod(0o600)
        return address
    return Address(host=address.host, port=port)


def _check_socket_path(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError("the folder of the socket does not exist", where=str(path))
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError("there is a file that is not a socket", where=str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        result = probe.connect_ex(str(path))
    if result not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise UsageError(
            "another agent listens on this socket", where=str(path), hint="stop it, or use another"
        )
    path.unlink(missing_ok=True)  # left over by an agent that was killed


@contextmanager
def _private_files() -> Iterator[None]:
    """Files made meanwhile are for their owner only."""
    mask = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(mask)
