"""Writes what the board's programs print before they import anything (`make docs`)."""

from __future__ import annotations

import os
from pathlib import Path

from bpu_board.cli.agent import make_parser
from bpu_board.cli.hrt_model_exec.usage import VERSION_TEXT, usage_text
from bpu_common import __version__
from bpu_common.first_screens import module


def text() -> str:
    """The module `bpu_board.cli.first_screens`."""
    os.environ["COLUMNS"] = "80"  # argparse asks for it
    versions = {"bpu-agent": f"bpu-agent {__version__}\n", "hrt_model_exec": VERSION_TEXT}
    screens = {"bpu-agent": make_parser().format_help(), "hrt_model_exec": usage_text()}
    return module(versions, screens)


if __name__ == "__main__":
    (Path(__file__).parent / "first_screens.py").write_text(text())
