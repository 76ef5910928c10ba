"""The user's boards: which there are, how they are reached, how they come to run the agent."""

from __future__ import annotations

from bpu_host.boards.inventory import BoardEntry, Inventory

__all__ = ["BoardEntry", "Inventory"]
