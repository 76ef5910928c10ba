"""`bpu`: work with boards. One file per command; nothing heavy is imported before it is needed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from bpu_common import __version__
from bpu_host.cli.outcome import run_command

COMMANDS = {
    "boards": ("bpu_host.cli.bpu_boards", "Set up, list, examine and remove boards."),
    "completion": ("bpu_host.cli.bpu_completion", "Let a shell complete these commands."),
    "deploy": ("bpu_host.cli.bpu_deploy", "Send a model file to a board."),
    "jobs": ("bpu_host.cli.bpu_jobs", "List or cancel measurements of the daemon."),
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
  bpu top --demo
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
            import difflib

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
    return run_command(bpu, "bpu", arguments)


if __name__ == "__main__":
    sys.exit(main())
