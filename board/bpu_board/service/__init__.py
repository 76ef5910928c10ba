"""Keeping an agent running: one folder, a small supervisor, or systemd where the board has it.

Only the standard library is imported here, so that a broken environment can still be looked at.
"""

from __future__ import annotations

from bpu_board.service.folder import Folder, Settings
from bpu_board.service.supervisor import Supervisor

__all__ = ["Folder", "Settings", "Supervisor"]
