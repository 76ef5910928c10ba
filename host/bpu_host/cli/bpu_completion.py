"""`bpu completion SHELL`."""

from __future__ import annotations

import click

from bpu_host.cli.completing import SHELLS

_EXAMPLES = """\b
Examples:
  echo 'eval "$(bpu completion bash)"' >> ~/.bashrc
  echo 'eval "$(bpu completion zsh)"' >> ~/.zshrc
  bpu completion fish > ~/.config/fish/conf.d/openbpu.fish
"""


@click.command("completion", epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what a SHELL reads to complete all programs of OpenBPU.

    Commands, options and files are completed, boards by the inventory, models by asking the board.
    """
    from bpu_host.cli.completing import script

    click.echo(script(shell))
