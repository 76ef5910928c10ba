"""Takes the folders beside this one into the board's wheel.

Without compiled kernels and their sources: this wheel is for every machine, and a board has no
compiler. `bpu boards add` makes wheels with the kernels of a board's machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = {"bpu_common": "../common/bpu_common", "bpu_sim": "../simulator/bpu_sim"}
LEFT_OUT = frozenset({".so", ".cpp", ".hpp", ".pyc"})


class BesideThisFolder(BuildHookInterface[Any]):
    """Adds each file by name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        for package, place in PACKAGES.items():
            folder = Path(self.root, place).resolve()
            for path in sorted(folder.rglob("*")):
                if (
                    path.is_file()
                    and path.suffix not in LEFT_OUT
                    and "__pycache__" not in path.parts
                ):
                    target = f"{package}/{path.relative_to(folder).as_posix()}"
                    build_data["force_include"][str(path)] = target
