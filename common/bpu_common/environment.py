"""The environment variables that OpenBPU reads: each has its name, meaning and default here.

Ours begin with BPU_. docs/environment.md is written from this table.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bpu_common.engine import ENGINES


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    Attributes:
        values: what it may hold, in words.
        default: what counts when it is not set or empty, in words.
        whose: "OpenBPU", "the vendor" (kept for users of its tools) or "the system".
    """

    name: str
    meaning: str
    values: str
    default: str
    whose: str = "OpenBPU"

    @property
    def value(self) -> str:
        """Its value in this process; empty if it is not set."""
        return os.environ.get(self.name, "")


LOG = Variable("BPU_LOG", "shows the traceback behind an error", "debug", "no tracebacks")
BOARD = Variable(
    "BPU_BOARD",
    "the board of commands without --board",
    "a name of the inventory or an address",
    "the only board of the inventory",
)
KERNELS = Variable(
    "BPU_KERNELS",
    "the engine that computes a model's numbers; all give the same",
    f"{', '.join(ENGINES[:-1])} or {ENGINES[-1]}",
    "auto: the fastest that runs here",
)
WHEEL = Variable(
    "BPU_WHEEL",
    "the machine whose release wheel is being built (docs/kernels.md)",
    "x86_64 or aarch64",
    "no release: what `pip install .` makes",
)
DDR_MTPS = Variable(
    "BPU_DDR_MTPS", "memory rate of the simulated board, in MT/s", "2666 or 3200", "3200"
)
CPU_MHZ = Variable(
    "BPU_CPU_MHZ", "clock of the simulated board's CPU cores, in MHz", "from 240 to 1800", "1200"
)
CPU_GOVERNOR = Variable(
    "BPU_CPU_GOVERNOR",
    "governor of the simulated board's CPU cores",
    "performance or ondemand",
    "performance",
)
PROFILE = Variable(
    "HB_DNN_PROFILER_LOG_PATH",
    "folder of profiler.log, as --profile_path of hrt_model_exec perf",
    "a folder",
    "no profile",
    "the vendor",
)
CACHE_HOME = Variable(
    "XDG_CACHE_HOME", "what can be made again", "an absolute path", "~/.cache", "the system"
)
CONFIG_HOME = Variable(
    "XDG_CONFIG_HOME", "inventory, host keys, units", "an absolute path", "~/.config", "the system"
)
STATE_HOME = Variable(
    "XDG_STATE_HOME", "logs of jobs", "an absolute path", "~/.local/state", "the system"
)
RUNTIME_DIR = Variable(
    "XDG_RUNTIME_DIR",
    "sockets of running programs",
    "a folder",
    "a folder of the user in the temporary folder",
    "the system",
)
NO_COLOR = Variable("NO_COLOR", "letters instead of colours", "anything", "colours", "the system")
TERM = Variable("TERM", "the terminal; on a dumb one nothing moves", "dumb", "", "the system")
COLORFGBG = Variable(
    "COLORFGBG", "colours of the terminal, for `bpu top`", "text;background", "dark", "the system"
)
SSH_AGENT = Variable(
    "SSH_AUTH_SOCK", "the SSH agent whose keys may be used", "a socket", "no agent", "the system"
)
ALLOCATOR = Variable(
    "GLIBC_TUNABLES",
    "settings of the C library; with any, hb_mapper adds none of its own",
    "glibc.malloc.name=value, with colons between",
    "what makes hb_mapper give memory back",
    "the system",
)
VARIABLES = (
    LOG, BOARD, KERNELS, WHEEL, DDR_MTPS, CPU_MHZ, CPU_GOVERNOR, PROFILE, CACHE_HOME, CONFIG_HOME,
    STATE_HOME, RUNTIME_DIR, NO_COLOR, TERM, COLORFGBG, SSH_AGENT, ALLOCATOR,
)  # fmt: skip


def home_folder(variable: Variable) -> Path:
    """The folder that one of the XDG variables with a default in the home folder means.

    Raises:
        RuntimeError: it is not set, and the user has no home.
    """
    given = Path(variable.value)
    return given if given.is_absolute() else Path(variable.default).expanduser()
