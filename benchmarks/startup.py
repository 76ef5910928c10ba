"""Start-up: processor time of commands that answer at once, against the interpreter's own.

Peers: `python -c pass` of the same environment, and for a mistake in a YAML what importing click,
yaml and pydantic with one model takes (the floor of any program that checks one with them). The
processes are interleaved; a ratio is the median of the rounds' ratios. All of them find their
bytecode, in a folder of the benchmark's own that a first round fills: where nobody may write it,
or the installer did not, Python's compiler would be timed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 15
SCRIPTS = Path(sys.executable).parent
FIRST_SCREEN, HELP, MISTAKE = 4.0, 9.0, 1.3
INTERPRETER = (sys.executable, "-c", "pass")
FLOOR = (
    sys.executable,
    "-c",
    "import click, yaml, pydantic\nclass Model(pydantic.BaseModel):\n  a: int = 1",
)


def cpu_s(arguments: Sequence[str], folder: str) -> float:
    """User and system time of a process that runs to its end in `folder`, in seconds."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *arguments]
    quiet = [(os.POSIX_SPAWN_OPEN, handle, os.devnull, os.O_RDWR, 0) for handle in (0, 1, 2)]
    process = os.posix_spawn(program[0], program, environment, file_actions=quiet)
    _, _, used = os.wait4(process, 0)
    return used.ru_utime + used.ru_stime


def commands() -> dict[tuple[str, ...], float]:
    """Command lines that are measured against the interpreter, each with its mark."""
    programs = ("bpu", "bpud", "hb_mapper", "bpu-agent", "hrt_model_exec")
    marks = {(name, flag): FIRST_SCREEN for name in programs for flag in ("--version", "--help")}
    for line in (
        "bpu perf",
        "bpu boards",
        "bpud start",
        "hb_mapper checker",
        "hb_mapper makertbin",
    ):
        marks[(*line.split(), "--help")] = HELP
    return marks


def main() -> int:
    marks = commands()
    mistake = ("hb_mapper", "makertbin", "--model-type", "onnx", "--config", "net.yaml")
    lines = {each: (str(SCRIPTS / each[0]), *each[1:]) for each in (*marks, mistake)}
    lines |= {INTERPRETER: INTERPRETER, FLOOR: FLOOR}
    took: dict[tuple[str, ...], list[float]] = {each: [] for each in lines}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "net.yaml").write_text("model_parameters:\n  onnx_modle: 'net.onnx'\n")
        for arguments in lines.values():
            cpu_s(arguments, folder)
        for _ in range(ROUNDS):
            for each, arguments in lines.items():
                took[each].append(cpu_s(arguments, folder))
    print("## Start-up: processor time until a command has answered\n")
    print("| command | ms | ratio | mark |")
    print("|---|--:|--:|--:|")
    good = True
    rows = [(each, INTERPRETER, mark) for each, mark in marks.items()]
    for each, peer, mark in (*rows, (mistake, FLOOR, MISTAKE)):
        ratio = statistics.median(a / b for a, b in zip(took[each], took[peer], strict=True))
        good &= ratio <= mark
        name = "hb_mapper makertbin, a mistake in the YAML" if each is mistake else " ".join(each)
        print(f"| {name} | {1e3 * statistics.median(took[each]):.0f} | {ratio:.2f} | {mark:g} |")
    print(
        f"\nPeers: `python -c pass` {1e3 * statistics.median(took[INTERPRETER]):.0f} ms; for the "
        "mistake the import of click, yaml and pydantic with one model, "
        f"{1e3 * statistics.median(took[FLOOR]):.0f} ms."
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
