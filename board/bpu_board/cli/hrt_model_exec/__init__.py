"""`hrt_model_exec`: look at, run and measure a compiled model on the board it is called on.

Options and printed forms are those X3 users know (docs/board.md "`hrt_model_exec`"); times are
device time. This module imports nothing heavy: the help screen must appear at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from bpu_board.cli.hrt_model_exec.options import Command, Options, parse
from bpu_board.cli.hrt_model_exec.usage import VERSION_TEXT, usage_text
from bpu_common.errors import BpuError
from bpu_common.plain import plain_lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; errors are sentences, never tracebacks."""
    try:
        status = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except BpuError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _complain("stopped by the user", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # be silent at exit
        return 141
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it may be what is full
        return _complain(f"{error.strerror or error}: {error.filename or 'standard output'}", 1)
    except MemoryError:
        return _complain("not enough memory for this model", 1)
    except Exception as error:  # noqa: BLE001  the last resort of a program
        return _complain(f"internal error: {type(error).__name__}: {error}", 1)
    return status


def _run(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.command is Command.HELP:
        sys.stdout.write(usage_text())
        return 0
    if options.command is Command.VERSION:
        sys.stdout.write(VERSION_TEXT)
        return 0
    for name in options.unused:
        sys.stderr.write(f"note: --{name} has no effect on {options.command.value}\n")
    return _command(options)


def _command(options: Options) -> int:
    if options.command is Command.MODEL_INFO:
        from bpu_board.cli.hrt_model_exec import info

        return info.run(options)
    if options.command is Command.INFER:
        from bpu_board.cli.hrt_model_exec import infer

        return infer.run(options)
    from bpu_board.cli.hrt_model_exec import perf

    return perf.run(options)


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"error: {plain_lines(text)}\n")
    return status
