"""What a program on the host begins with: boards by name, whichever way leads there."""

from bpu_host.client.resolve import connect, default_board, is_name, route_to

__all__ = ["connect", "default_board", "is_name", "route_to"]
