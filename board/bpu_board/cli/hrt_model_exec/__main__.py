"""`python -m bpu_board.cli.hrt_model_exec`."""

from __future__ import annotations

import sys

from bpu_board.cli.hrt_model_exec import main

sys.exit(main())
