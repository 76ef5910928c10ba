"""SSH to boards: settings of the user, host keys, connections, tunnels to the agent."""

from __future__ import annotations

import logging

from bpu_host.remote.ssh.config import SshSettings, SshTarget, ask_ssh, parse_target, read_settings
from bpu_host.remote.ssh.connect import FirstContact, open_transport, shown_key, verify_host
from bpu_host.remote.ssh.connection import Completed, Connection, NothingListens, SshConnection
from bpu_host.remote.ssh.hostkeys import HostKey, HostKeys, Verdict
from bpu_host.remote.ssh.openssh import OpenSshConnection, OpenSshTunnel
from bpu_host.remote.ssh.tunnel import Tunnel

__all__ = [
    "Completed",
    "Connection",
    "FirstContact",
    "HostKey",
    "HostKeys",
    "NothingListens",
    "OpenSshConnection",
    "OpenSshTunnel",
    "SshConnection",
    "SshSettings",
    "SshTarget",
    "Tunnel",
    "Verdict",
    "ask_ssh",
    "open_transport",
    "parse_target",
    "read_settings",
    "shown_key",
    "verify_host",
]

# What fails here is raised as an error that says what to do; paramiko's lines would only add noise.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
