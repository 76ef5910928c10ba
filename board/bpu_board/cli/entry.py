"""Where the board's programs begin: versions and first screens need no imports."""

from __future__ import annotations

import sys

from bpu_board.cli.first_screens import SCREENS, VERSIONS
from bpu_common.completion import asked
from bpu_common.first_screens import answered
from bpu_common.interrupted import interruptible


@interruptible()
def agent() -> int:
    """`bpu-agent`."""
    if asked("bpu-agent"):
        from bpu_board.cli.agent import completions

        sys.stdout.write(completions())
        return 0
    if answered(VERSIONS["bpu-agent"], SCREENS["bpu-agent"], bare=False):
        return 0
    from bpu_board.cli.agent import end, main

    return end(main())


@interruptible()
def hrt_model_exec() -> int:
    """`hrt_model_exec`."""
    if asked("hrt_model_exec"):
        from bpu_board.cli.hrt_model_exec.options import completions

        sys.stdout.write(completions())
        return 0
    if answered(VERSIONS["hrt_model_exec"], SCREENS["hrt_model_exec"]):
        return 0
    from bpu_board.cli.hrt_model_exec import main

    return main()
