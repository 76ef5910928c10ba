"""Addresses of an agent: `unix:PATH` or `HOST:PORT`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from bpu_common.errors import UsageError

_FORMS = "give unix:PATH or HOST:PORT, as in unix:/run/bpu/agent.sock or 127.0.0.1:50551"
_MAX_SOCKET_PATH = 107  # sun_path of Linux, without its closing zero


@dataclass(frozen=True, slots=True)
class Address:
    """Where an agent listens: `path` of a unix socket, or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def target(self) -> str:
        """What gRPC calls it."""
        if self.path:
            return f"unix:{Path(self.path).absolute()}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """A unix socket or a loopback address: nobody on another machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else self.target


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        UsageError: not one of the two forms, or a path that is too long for a socket.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        length = len(str(Path(path).absolute()).encode())
        if not path or length > _MAX_SOCKET_PATH:
            raise UsageError(
                f"a unix socket needs a path of 1 to {_MAX_SOCKET_PATH} bytes, this has {length}",
                where=text,
                hint="use a shorter path, or a loopback address as 127.0.0.1:50551",
            )
        return Address(path=path)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise UsageError(f"{text!r} is not the address of an agent", hint=_FORMS)
    return Address(host=host, port=int(port))
