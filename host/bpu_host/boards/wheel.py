"""The wheel for boards, made in memory from the packages that this program runs from.

No source tree is needed. The same packages give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from bpu_common import __version__
from bpu_sim.kernels.library import library_file

PACKAGES = ("bpu_board", "bpu_common", "bpu_sim")
REQUIREMENTS = (
    "numpy",
    "protobuf>=6.33,<8",
    "grpcio>=1.81.1",
    "grpcio-health-checking>=1.81.1",
    "grpcio-reflection>=1.81.1",
    "psutil",
    "onnxruntime",
)
"""As in board/pyproject.toml, which an installed host package does not have."""

SCRIPTS = {
    "bpu-agent": "bpu_board.cli.entry:agent",
    "hrt_model_exec": "bpu_board.cli.entry:hrt_model_exec",
}
PYTHON = (3, 10)
"""The oldest interpreter that runs it."""

_SOURCES = (".cpp", ".hpp")
"""Of the kernels: a board has no compiler."""
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_INFO = f"openbpu_board-{__version__}.dist-info"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel in memory; `kernels`: with the compiled ones of its machine."""

    name: str
    data: bytes
    kernels: bool

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


@cache
def board_wheel(machine: str) -> Wheel:
    """The wheel of this version for a board; with compiled kernels, if there are any for it.

    Args:
        machine: of the board, as `uname -m` has it.
    """
    files = dict(sorted(_package_files(machine)))
    kernels = any(name.endswith(".so") for name in files)
    tag = f"py3-none-linux_{machine}" if kernels else "py3-none-any"
    files[f"{_INFO}/METADATA"] = _metadata().encode()
    files[f"{_INFO}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: openbpu\n"
        f"Root-Is-Purelib: {str(not kernels).lower()}\nTag: {tag}\n"
    ).encode()
    scripts = "".join(f"{name} = {where}\n" for name, where in SCRIPTS.items())
    files[f"{_INFO}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{_INFO}/RECORD"] = _record(files)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _TIME)
            member.external_attr = 0o100644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return Wheel(f"openbpu_board-{__version__}-{tag}.whl", buffer.getvalue(), kernels)


def _package_files(machine: str) -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        (root,) = (Path(each) for each in import_module(package).__path__)
        for path in root.rglob("*"):
            other = path.suffix == ".so" and path != library_file(machine)
            if other or path.suffix in _SOURCES:
                continue
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _metadata() -> str:
    lines = [
        "Metadata-Version: 2.1",
        "Name: openbpu-board",
        f"Version: {__version__}",
        "Summary: Runtime, agent and measuring tools of OpenBPU for the board",
        "License: Apache-2.0",
        f"Requires-Python: >={PYTHON[0]}.{PYTHON[1]}",
        *(f"Requires-Dist: {requirement}" for requirement in REQUIREMENTS),
    ]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes]) -> bytes:
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return ("".join(lines) + f"{_INFO}/RECORD,,\n").encode()
