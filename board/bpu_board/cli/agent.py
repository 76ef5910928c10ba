"""`bpu-agent`: serve this board (or a simulated one) to the host's tools."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_EXAMPLES = """\
examples:
  bpu-agent --listen unix:/run/bpu/agent.sock --store /var/lib/bpu
  bpu-agent --listen 127.0.0.1:50551 --store ~/models --machine j3

Only unix sockets (mode 0600) and loopback addresses are served. SIGTERM stops
the agent after the calls in flight. The chip is simulated, on a board as well.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; returns its exit status."""
    options = make_parser().parse_args(arguments)
    import logging  # only now: what is wrong with the options must be said at once

    from bpu_common.errors import BpuError
    from bpu_common.wire.rpc.memory import keep_large_blocks

    keep_large_blocks()  # before the first large allocation
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        _serve(options)
    except BpuError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.store}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _serve(options: argparse.Namespace) -> None:
    import asyncio
    import logging

    from bpu_board.agent.server import check_listen, serve
    from bpu_board.devices.simulated import SimDevice
    from bpu_board.runtime import ModelStore, Runtime
    from bpu_common.engine import engine_line
    from bpu_common.files import SingleLock
    from bpu_common.machine import MACHINES
    from bpu_common.machine_settings import configured
    from bpu_common.wire.rpc.address import Address, parse_address
    from bpu_sim.device import PacedClock, VirtualClock

    address = parse_address(options.listen)
    check_listen(address)
    clock = PacedClock() if options.clock == "paced" else VirtualClock()
    folder = Path(options.store).expanduser()
    cache = folder / "engines"  # an agent leaves nothing outside its folder
    device = SimDevice(configured(MACHINES[options.machine]), clock, options.threads, cache)
    store = ModelStore(folder, device.read)
    lock = SingleLock(
        folder / "agent.lock", "another agent serves this store", "stop it, or give another --store"
    )
    runtime = Runtime(device, store)
    logging.getLogger(__name__).info("engine: %s", engine_line(device.engine()))

    def ready(bound: Address) -> None:
        kind = f"simulated {options.machine} ({options.clock} clock)"
        print(f"bpu-agent: {kind} on {bound}, store {store.root}", flush=True)

    try:
        asyncio.run(serve(runtime, address, ready))
    finally:
        runtime.close()
        lock.release()


class OptionParser(argparse.ArgumentParser):
    """A parser that tells its options, for completion."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  argparse's own form
        self.options: list[argparse.Action] = []
        super().__init__(**settings)

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:  # noqa: ANN401
        option = super().add_argument(*names, **settings)
        self.options.append(option)
        return option


def completions() -> str:
    """What the shell that asks gets."""
    from bpu_board.cli.completing import Kind, Taken, answer

    special = {"--store": Kind.FOLDER}
    options = {}
    for option in make_parser().options:
        name = option.option_strings[-1]
        kind = Kind.FLAG if option.nargs == 0 else special.get(name, Kind.WORD)
        options[name] = Taken(kind, tuple(option.choices or ()))
    return answer("bpu-agent", (), options)


def make_parser() -> OptionParser:
    """The options, and what `--help` says of them."""
    from bpu_common import __version__
    from bpu_common.machine import DEFAULT_MACHINE, MACHINES

    parser = OptionParser(
        prog="bpu-agent",
        description="Serve a board to the host's tools: models, inference, perf, telemetry.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--listen", required=True, metavar="ADDRESS", help="unix:PATH or HOST:PORT")
    parser.add_argument("--store", required=True, metavar="DIR", help="folder of the models")
    parser.add_argument(
        "--machine",
        choices=sorted(MACHINES),
        default=DEFAULT_MACHINE.name,
        help="chip to simulate (default %(default)s)",
    )
    parser.add_argument(
        "--clock",
        choices=("virtual", "paced"),
        default="paced",
        help="paced: device time follows the wall clock, as on a chip; virtual: it runs as fast as "
        "it can be computed and stands still between tasks (default %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads for the numbers (0: all)"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def end(status: int) -> NoReturn:
    """End the process now: a thread that still computes must not keep an agent from its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end(main())
