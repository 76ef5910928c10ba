"""Ctrl-C while a program is still importing ends it as it does later: a line, and 130."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.test_first_screens import PROGRAMS

# The import of this module is where the interrupt comes: the first one of the program itself, and
# one inside a command.
STARTS = {
    "bpu": ("bpu_host.cli.bpu", ["boards", "list"]),
    "bpud": ("bpu_host.cli.bpud", ["status"]),
    "hb_mapper": ("bpu_host.cli.hb_mapper", ["init", "net.onnx"]),
    "bpu-agent": ("bpu_board.cli.agent", ["--store", "store"]),
    "hrt_model_exec": ("bpu_board.cli.hrt_model_exec", ["model_info", "--model_file", "net.bin"]),
}
COMMANDS = {"hb_mapper": ("bpu_host.cli.mapper_log", ["init", "net.onnx"])}
CASES = [*STARTS.items(), *COMMANDS.items()]


@pytest.mark.parametrize(("program", "start"), CASES)
def test_an_interrupted_import_is_one_line(program: str, start: tuple[str, list[str]]) -> None:
    interrupted, arguments = start
    module, function = PROGRAMS[program].split(":")
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore it
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {interrupted!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"import {module} as entry\n"
        f"sys.argv = {[program, *arguments]!r}\n"
        f"sys.exit(entry.{function}())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n"), done.stdout
