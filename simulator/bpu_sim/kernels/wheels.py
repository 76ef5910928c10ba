"""The compiled kernels in wheels: what the build hooks of the host and of the board share.

A release (`make wheels`) sets BPU_WHEEL to a machine; its libraries were made before, with ziglang.
Without it the system's compiler makes those of this machine, if there is one.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpu_common.environment import WHEEL
from bpu_sim.kernels.build import GLIBC, UNITS, BuildError, build, without
from bpu_sim.kernels.library import library_file


@dataclass(frozen=True, slots=True)
class Content:
    """Libraries that a wheel carries, and its tag."""

    libraries: tuple[Path, ...] = ()
    tag: str = "py3-none-any"

    def enter(self, build_data: dict[str, Any]) -> None:
        """Tell hatchling."""
        for path in self.libraries:
            build_data["force_include"][str(path)] = f"bpu_sim/kernels/{path.name}"
        build_data["tag"] = self.tag
        build_data["pure_python"] = not self.libraries


def released(root: Path, *, every_machine: bool) -> Content | None:
    """Of a release, whose libraries lie in `build/kernels` below `root`; None: this is none.

    Args:
        every_machine: a host gives boards the kernels of theirs.

    Raises:
        BuildError: the libraries are not there.
    """
    machine = WHEEL.value
    if not machine:
        return None
    folder = root / "build" / "kernels"
    machines = sorted(UNITS) if every_machine else [machine]
    libraries = tuple(folder / library_file(each).name for each in machines)
    missing = [path.name for path in libraries if not path.exists()]
    if machine not in UNITS or missing:
        raise BuildError(
            f"{WHEEL.name}={machine}: no {', '.join(missing)} in {folder}: `make wheels`"
        )
    glibc = GLIBC.replace(".", "_")
    tag = f"py3-none-manylinux_{glibc}_{machine}.manylinux2014_{machine}"
    return Content(libraries, tag)


def compiled(folder: Path) -> Content:
    """Of a source install: this machine's library, made in `folder`; without a compiler, none."""
    machine = platform.machine()
    target = folder / library_file(machine).name
    try:
        build(machine, target)
    except BuildError as error:
        sys.stderr.write(f"{without(error)}\n")
        return Content()
    return Content((target,), f"py3-none-linux_{machine}")
