"""Where the host's programs begin: versions and first screens need no imports."""

from __future__ import annotations

import gc

from bpu_common.completion import asked
from bpu_common.first_screens import answered
from bpu_common.interrupted import interruptible
from bpu_host.cli.first_screens import SCREENS, VERSIONS


@interruptible()
def bpu() -> int:
    """`bpu`."""
    if _answered("bpu"):
        return 0
    from bpu_host.cli.bpu import main

    return main()


@interruptible()
def bpud() -> int:
    """`bpud`."""
    if _answered("bpud"):
        return 0
    from bpu_host.cli.bpud import main

    return main()


@interruptible()
def hb_mapper() -> None:
    """`hb_mapper`."""
    if not _answered("hb_mapper"):
        gc.disable()  # imports make no garbage; crashes.py turns it on before the work begins
        from bpu_host.cli.hb_mapper import main

        main()


def _answered(program: str) -> bool:
    return not asked(program) and answered(VERSIONS[program], SCREENS[program])
