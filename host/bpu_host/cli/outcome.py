"""How a command line ends: the exit status, and what the user reads when it fails."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from bpu_common.environment import LOG
from bpu_common.errors import BpuError
from bpu_common.plain import plain_lines
from bpu_host.cli.colours import coloured


def run_command(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command line (None: the process's own); returns its exit status.

    No traceback reaches the user unless BPU_LOG=debug asks for it.
    """
    try:
        status = command.main(
            args=None if arguments is None else list(arguments),
            prog_name=name,
            standalone_mode=False,
        )
    except BpuError as error:
        _debug()
        _complain(str(error))
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n  hint: `{context.command_path} --help` shows the options" if context else ""
        _complain(f"{error.format_message()}{hint}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  else the flush at exit fails too
        return 1
    except OSError as error:
        _debug()
        _complain(f"{error.strerror}: {error.filename or ''}")
        return 1
    except Exception as error:  # noqa: BLE001  the last resort of a program
        _debug()
        _complain(
            f"{type(error).__name__}: {error}\n  hint: this is a bug in OpenBPU; "
            "BPU_LOG=debug shows where"
        )
        return 1
    return status if isinstance(status, int) else 0


def _complain(text: str) -> None:
    click.echo(f"{coloured('error:', 'error', sys.stderr)} {plain_lines(text)}", err=True)


def _debug() -> None:
    if LOG.value == "debug":
        traceback.print_exc()
