"""Working with a board from the host: deploy, run, measure, watch."""

from __future__ import annotations

from bpu_host.remote.board import Board
from bpu_host.remote.upload import Progress

__all__ = ["Board", "Progress"]
