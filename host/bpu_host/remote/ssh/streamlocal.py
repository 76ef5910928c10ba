# ruff: noqa: SLF001  # that is the purpose of this file
"""A channel to a unix socket on the other side: the one thing that paramiko cannot do itself.

Everything that touches paramiko's private members is in `open_streamlocal`; it does what
`Transport.open_channel` of paramiko 5.1 does, with the body that OpenSSH defines for the kind
"direct-streamlocal@openssh.com" (OpenSSH, PROTOCOL, section 2.4).
"""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import paramiko
from paramiko.common import MSG_CHANNEL_OPEN, byte_chr

KIND = "direct-streamlocal@openssh.com"
_POLL_S = 0.1


def open_streamlocal(
    transport: paramiko.Transport, path: str, timeout_s: float
) -> paramiko.Channel:
    """Connect to the unix socket `path` on the other side.

    Raises:
        paramiko.ChannelException: refused; code 1 = not allowed, 2 = nothing listens there.
        paramiko.SSHException: the connection was lost, or no answer in time.
    """
    inner = cast("Any", transport)
    with inner.lock:
        window_size = inner._sanitize_window_size(None)
        packet_size = inner._sanitize_packet_size(None)
        number = inner._next_channel()
        message = paramiko.Message()
        message.add_byte(byte_chr(MSG_CHANNEL_OPEN))
        message.add_string(KIND)
        message.add_int(number)
        message.add_int(window_size)
        message.add_int(packet_size)
        message.add_string(path)
        message.add_string("")  # reserved
        message.add_int(0)  # reserved
        channel = paramiko.Channel(number)
        inner._channels.put(number, channel)
        inner.channel_events[number] = answered = threading.Event()
        inner.channels_seen[number] = True
        cast("Any", channel)._set_transport(transport)
        cast("Any", channel)._set_window(window_size, packet_size)
    inner._send_user_message(message)
    end_s = time.monotonic() + timeout_s
    while not answered.wait(_POLL_S):
        if not transport.is_active():
            raise transport.get_exception() or paramiko.SSHException("the connection was lost")
        if time.monotonic() > end_s:
            raise paramiko.SSHException("no answer to the opening of a channel")
    opened = inner._channels.get(number)
    if opened is None:
        raise transport.get_exception() or paramiko.SSHException("the channel was not opened")
    return cast("paramiko.Channel", opened)
