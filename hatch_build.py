"""Puts the compiled kernels into the host's wheel.

An editable install has none: `make setup`, or `python -m bpu_sim.kernels.build`, compiles them
beside their sources.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledKernels(BuildHookInterface[Any]):
    """Of a release those of every machine, for boards too; of a source install this machine's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        sys.path[:0] = [str(root / "common"), str(root / "simulator")]
        from bpu_sim.kernels.wheels import compiled, released

        self._scratch = tempfile.TemporaryDirectory()
        made = released(root, every_machine=True) or compiled(Path(self._scratch.name))
        made.enter(build_data)
