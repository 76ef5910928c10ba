"""`bpu`: work with boards. One file per command; nothing heavy is imported before it is needed."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from bpu_common import __version__
from bpu_common.errors import BpuError

COMMANDS = {
    "boards": ("bpu_host.cli.bpu_boards", "Set up, list, examine and remove boards."),
    "deploy": ("bpu_host.cli.bpu_deploy", "Send a model file to a board."),
    "models": ("bpu_host.cli.bpu_models", "List a board's models, or describe one."),
    "perf": ("bpu_host.cli.bpu_perf", "Measure a model on a board."),
    "remove": ("bpu_host.cli.bpu_remove", "Delete a model from a board."),
    "run": ("bpu_host.cli.bpu_run", "Run a model on pictures or arrays."),
    "top": ("bpu_host.cli.top", "Watch a board: models, cores, preemptions, live."),
}
"""Command -> module that holds it as `command`, and its line in `bpu --help`."""

_EXAMPLES = """\b
Examples:
  bpu boards add desk root@192.168.1.10
  bpu deploy model_output/net.bin --board desk
  bpu run net photo.jpg --board 127.0.0.1:50551 --output results
  bpu perf net --board 127.0.0.1:50551 --threads 4
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own form
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  click's own form
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  click's own form
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES
)
@click.version_option(__version__, prog_name="bpu", message="%(prog)s %(version)s")
def bpu() -> None:
    """Deploy models to a board, run and measure them there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status. No traceback reaches the user."""
    try:
        status = bpu.main(
            args=None if arguments is None else list(arguments),
            prog_name="bpu",
            standalone_mode=False,
        )
    except BpuError as error:
        _debug()
        click.echo(f"error: {error}", err=True)
        return error.exit_status
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n  hint: `{context.command_path} --help` shows the options" if context else ""
        click.echo(f"error: {error.format_message()}{hint}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  else the flush at exit fails too
        return 1
    except OSError as error:
        _debug()
        click.echo(f"error: {error.strerror}: {error.filename or ''}", err=True)
        return 1
    except Exception as error:  # noqa: BLE001  the last resort of a program
        _debug()
        click.echo(
            f"error: {type(error).__name__}: {error}\n  hint: this is a bug in OpenBPU; "
            "BPU_LOG=debug shows where",
            err=True,
        )
        return 1
    return status if isinstance(status, int) else 0


def _debug() -> None:
    if os.environ.get("BPU_LOG") == "debug":
        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
