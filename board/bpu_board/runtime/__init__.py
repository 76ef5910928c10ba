"""The board's runtime: models, queue, execution, measurements."""

from __future__ import annotations

from bpu_board.runtime.frame import Frame
from bpu_board.runtime.runtime import Runtime
from bpu_board.runtime.shelf import StoredModel
from bpu_board.runtime.store import ModelStore

__all__ = ["Frame", "ModelStore", "Runtime", "StoredModel"]
