"""Takes the folders beside this one into the board's wheel, and of a release a machine's kernels.

Otherwise without compiled kernels: that wheel is for every machine. Sources of kernels are left
out, a board has no compiler. `bpu boards add` makes a wheel with the kernels of a board's machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = {"bpu_common": "../common/bpu_common", "bpu_sim": "../simulator/bpu_sim"}
LEFT_OUT = frozenset({".so", ".cpp", ".hpp", ".pyc"})


class BesideThisFolder(BuildHookInterface[Any]):
    """Adds each file by name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        folders = {name: Path(self.root, place).resolve() for name, place in PACKAGES.items()}
        for package, folder in folders.items():
            for path in sorted(folder.rglob("*")):
                if (
                    path.is_file()
                    and path.suffix not in LEFT_OUT
                    and "__pycache__" not in path.parts
                ):
                    target = f"{package}/{path.relative_to(folder).as_posix()}"
                    build_data["force_include"][str(path)] = target
        sys.path[:0] = [str(folder.parent) for folder in folders.values()]
        from bpu_sim.kernels.wheels import released

        made = released(Path(self.root).resolve().parent, every_machine=False)
        if made is not None:
            made.enter(build_data)
