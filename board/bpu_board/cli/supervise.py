"""`bpu-supervise`: keep an agent running. `bpu boards` calls this on the board, through SSH."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bpu_board.service import Folder

_EXAMPLES = """\
commands:
  install    choose systemd or the supervisor, start the agent; options after -- are bpu-agent's
  start      start the agent if it does not run, and wait until it listens
  stop       end it
  status     one JSON object
  uninstall  end it and remove the service; models and environment stay
  relay      join standard input and output to the agent's socket, for SSH servers that do not
             forward to sockets
  run        the supervisor itself, in the foreground

example:
  python -m bpu_board.cli.supervise install --folder ~/.openbpu -- --machine x3m
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    options = _parse(words[:split])
    from bpu_board.service import Folder
    from bpu_common.errors import BpuError

    os.umask(0o077)  # everything in the folder is for its owner
    folder = Folder(Path(options.folder).expanduser().resolve())
    try:
        return _run(folder, options, tuple(words[split + 1 :]))
    except BpuError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


def _run(folder: Folder, options: argparse.Namespace, agent: tuple[str, ...]) -> int:
    from bpu_board.service import Supervisor, control
    from bpu_board.service.relay import relay

    command: str = options.command
    match command:
        case "run":
            Supervisor(folder).run()
        case "install":
            control.install(folder, agent, plain=options.supervisor)
            control.start(folder, options.wait)
        case "start":
            control.start(folder, options.wait)
        case "stop":
            control.stop(folder)
        case "uninstall":
            control.uninstall(folder)
        case "relay":
            control.start(folder, options.wait)
            relay(folder.socket)
        case _:  # status: nothing is done, only told
            pass
    if command in {"install", "start", "status"}:
        print(json.dumps(control.status(folder)))
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bpu_board.cli.supervise",
        description="Keep the agent of a folder running.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = ("install", "start", "stop", "status", "uninstall", "relay", "run")
    parser.add_argument("command", choices=commands)
    parser.add_argument("--folder", required=True, metavar="DIR", help="folder of the installation")
    parser.add_argument("--wait", type=float, default=30.0, metavar="S", help="for the agent")
    parser.add_argument("--supervisor", action="store_true", help="do not use systemd")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
