"""Compiling the kernels: `python -m bpu_sim.kernels.build`.

The system's compiler is used for this machine. With `--cross`, `--machine x86_64|aarch64` and the
package `ziglang` one machine builds for both, against glibc 2.17; release wheels are made that way.
Without a compiler nothing is lost but speed: the onnxruntime engine gives the same bits.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from bpu_sim.kernels.library import FOLDER, library_file, seal

SOURCES = FOLDER / "src"
FLAGS = (
    "-std=c++17", "-O3", "-fPIC", "-fno-exceptions", "-fno-rtti", "-fno-math-errno",
    "-fno-threadsafe-statics", "-Wall", "-Wextra", "-Wno-uninitialized",
    "-Wno-maybe-uninitialized",
)  # fmt: skip
LINKED = ("-shared", "-s", "-Wl,-z,defs")
GLIBC = "2.17"
"""The oldest that release libraries run with."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One file and how it is compiled.

    Attributes:
        flags: that say the instruction set to gcc and clang.
        cpu: the same for zig, which has names of its own; empty: the oldest of the machine.
    """

    source: str
    object: str
    flags: tuple[str, ...] = ()
    cpu: str = ""
    defines: tuple[str, ...] = ()


_PLAIN = tuple(
    Unit(name, name) for name in ("memory", "pack", "pack_conv", "team", "frame", "magnitudes")
)
_AVXVNNI = ("-mavxvnni",)
"""Compilers have it since 2021 (GCC 11, clang 12); with older ones that set is left out."""
_VNNI = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
UNITS = {
    "x86_64": (
        *_PLAIN,
        Unit("sets", "sets", defines=("-DKERNELS_AVXVNNI",)),
        Unit("vnni", "vnni", _VNNI, "x86_64_v4+avx512vnni"),
        Unit("vbmi", "vbmi", (*_VNNI, "-mavx512vbmi"), "x86_64_v4+avx512vnni+avx512vbmi"),
        Unit("avx2", "avx2", ("-mavx2",), "x86_64_v3"),
        Unit("avx2", "avxvnni", ("-mavx2", *_AVXVNNI), "x86_64_v3+avxvnni"),
    ),
    "aarch64": (
        *_PLAIN,
        Unit("sets", "sets"),
        Unit("neon", "neon"),
        Unit("neon", "dot", ("-march=armv8.2-a+dotprod",), "generic+dotprod"),
    ),
}


_OLDEST = {"x86_64": "x86_64", "aarch64": "generic"}


class BuildError(Exception):
    """The kernels cannot be compiled; the message says why."""


@dataclass(frozen=True, slots=True)
class Tools:
    """A compiler, and what links without a C++ library.

    Attributes:
        machine: whose processors zig is told by its own names; empty: the flags of gcc and clang.
    """

    compiler: tuple[str, ...]
    linker: tuple[str, ...]
    machine: str = ""

    def flags(self, unit: Unit) -> tuple[str, ...]:
        """That say a file's instruction set."""
        return (f"-mcpu={unit.cpu or _OLDEST[self.machine]}",) if self.machine else unit.flags


def build(machine: str, target: Path, *, cross: bool = False, sanitize: str = "") -> None:
    """Compile the library for a machine and put it at `target`.

    Args:
        machine: `x86_64` or `aarch64`.
        cross: with the package `ziglang`, for any machine.
        sanitize: what the compiler's `-fsanitize=` watches; for tests.

    Raises:
        BuildError: no compiler, or it failed.
    """
    if machine not in UNITS:
        raise BuildError(f"there are no kernels for {machine}")
    tools = _zig(machine) if cross else _system(machine)
    units = UNITS[machine]
    if not cross and not _accepts(tools, _AVXVNNI):
        units = tuple(
            replace(each, defines=()) for each in units if not set(_AVXVNNI) & set(each.flags)
        )
    if sanitize:
        watched = (f"-fsanitize={sanitize}", "-fno-sanitize-recover=all")
        compiled = (*FLAGS, *watched, "-fno-omit-frame-pointer", "-g", "-O1")
        compile_units(units, tools, target, compiled, ("-shared", *watched))
    else:
        compile_units(units, tools, target)


def compile_units(
    units: Sequence[Unit],
    tools: Tools,
    target: Path,
    flags: Sequence[str] = FLAGS,
    linked: Sequence[str] = LINKED,
) -> None:
    """Compile and link some files, and seal what comes out.

    Raises:
        BuildError: the compiler failed.
    """
    with tempfile.TemporaryDirectory() as folder:

        def compile_unit(unit: Unit) -> str:
            made = str(Path(folder) / f"{unit.object}.o")
            source = str(SOURCES / f"{unit.source}.cpp")
            own = (*tools.flags(unit), *unit.defines)
            _run([*tools.compiler, *flags, *own, "-c", source, "-o", made])
            return made

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(pool.map(compile_unit, units))
        made = Path(folder) / target.name
        _run([*tools.linker, *linked, "-o", str(made), *objects, "-lpthread"])
        content = made.read_bytes()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(content + seal(content))
        partial.replace(target)  # a running process keeps the old one
    except OSError as error:
        raise BuildError(f"{target} cannot be written: {error.strerror}") from None


def _system(machine: str) -> Tools:
    """Those of this machine."""
    wanted = os.environ.get("CXX")
    if machine != platform.machine() and not wanted:
        here = platform.machine()
        raise BuildError(
            f"the system's compiler builds for {here}: use --cross, or name one in CXX"
        )
    for compiler in (wanted,) if wanted else ("g++", "clang++", "c++"):
        found = shutil.which(compiler)
        if found:
            c = shutil.which(os.environ.get("CC", "")) or _sibling(found) or found
            return Tools((found,), (c,))
    raise BuildError(f"no C++ compiler ({wanted or 'g++, clang++'})")


def _accepts(tools: Tools, flags: Sequence[str]) -> bool:
    """Whether the compiler knows flags."""
    command = [*tools.compiler, *flags, "-E", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _sibling(compiler: str) -> str | None:
    """The C compiler beside a C++ one: it links no C++ library."""
    name = Path(compiler).name
    for plus, plain in (("clang++", "clang"), ("g++", "gcc"), ("c++", "cc")):
        if plus in name:
            return shutil.which(str(Path(compiler).with_name(name.replace(plus, plain))))
    return None


def _zig(machine: str) -> Tools:
    if find_spec("ziglang") is None:
        raise BuildError("the package ziglang is not installed")
    base = (sys.executable, "-m", "ziglang")
    target = ("-target", f"{machine}-linux-gnu.{GLIBC}")
    return Tools((*base, "c++", *target, "-g0"), (*base, "cc", *target), machine)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        first = (errors or done.stderr.splitlines() or ["it failed without a word"])[0]
        raise BuildError(f"{Path(command[0]).name}: {first.strip()}")


def without(error: BuildError) -> str:
    """The line that says why there are no kernels, and what that means."""
    return (
        f"int8 kernels are not compiled: {error}; the onnxruntime engine is used instead, "
        "slower, with the same bits"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bpu_sim.kernels.build", description=__doc__)
    parser.add_argument("--machine", choices=sorted(UNITS), default=platform.machine())
    parser.add_argument("--cross", action="store_true", help="with ziglang, for any machine")
    parser.add_argument(
        "--sanitize", default="", metavar="WHAT", help="as `-fsanitize=`: address,undefined"
    )
    parser.add_argument("--output", type=Path, help="default: beside the sources")
    parser.add_argument(
        "--optional", action="store_true", help="say why and succeed where they cannot be compiled"
    )
    given = parser.parse_args()
    try:
        target = given.output or library_file(given.machine)
        build(given.machine, target, cross=given.cross, sanitize=given.sanitize)
    except BuildError as error:
        sys.stderr.write(f"{without(error)}\n")
        return 0 if given.optional else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
