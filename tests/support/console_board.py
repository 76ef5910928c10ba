"""`hrt_model_exec` called in this process, and the files it is called with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bpu_board.cli.hrt_model_exec import main
from bpu_common import container
from bpu_common.model import BpuModel
from tests.support.models_board import HEIGHT, WIDTH


def write(path: Path, *models: BpuModel) -> None:
    path.write_bytes(container.dump(models))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def run(capsys, *words: str) -> str:
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def fail(capsys, *words: str) -> str:
    status = main(words)
    out, err = capsys.readouterr()
    assert status != 0
    assert "Traceback" not in out + err
    assert "internal error" not in err
    last = [line for line in err.splitlines() if not line.startswith(("[OpenBPU]", "note:"))]
    assert last[0].startswith("error: ")
    return err
