"""`bpu deploy FILE --board ADDRESS`."""

from __future__ import annotations

import click

from bpu_host.cli.bpu_options import ProgressLine, board_option, json_option, print_json, say

_EXAMPLES = """\b
Examples:
  bpu deploy model_output/net.bin --board unix:/run/bpu/agent.sock
  bpu deploy net.bin --board 127.0.0.1:50551 --keep
"""


@click.command("deploy", epilog=_EXAMPLES)
@click.argument("file", type=click.Path())
@board_option
@click.option("--keep", is_flag=True, help="Keep older files that hold models of the same names.")
@json_option
def command(file: str, address: str, keep: bool, as_json: bool) -> None:
    """Send the model FILE to a board.

    A file that is there already is not sent again; an upload that was cut goes on where it stopped.
    The model appears on the board whole and checked, or not at all.
    """
    from dataclasses import asdict

    from bpu_host.client import connect

    line = ProgressLine("uploading", "bytes", quiet=as_json)
    with connect(address) as board:
        try:
            result = board.deploy(file, line.update, replace=not keep)
        finally:
            line.close()
    if as_json:
        print_json(asdict(result))
        return
    names = ", ".join(result.models)
    how = f"{result.sent_bytes} bytes sent" if result.sent_bytes else "it was there already"
    say(f"deployed {names} ({result.size_bytes} bytes, {how}), digest {result.digest[:12]}")
    for digest in result.replaced:
        say(f"replaced {digest[:12]}")
