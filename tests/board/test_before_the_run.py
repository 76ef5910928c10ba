"""What a run could not write is said before it, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_board.cli.hrt_model_exec import main
from bpu_common import container
from tests.support.models_board import HEIGHT, WIDTH, tiny_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HB_DNN_PROFILER_LOG_PATH", raising=False)
    (tmp_path / "c.bin").write_bytes(container.dump([tiny_model("classes", classify=True)]))
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "photo.png")
    return tmp_path


def test_dequantized_dump_of_a_vector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model_file=c.bin", "--input_file=photo.png", "--enable_dump"]
    assert main(["infer", *words, "--hybrid_dequantize_process"]) == 2
    out, err = capsys.readouterr()
    assert "handles models with 4 only" in err
    assert "infer success" not in out
    assert not list(folder.glob("model_infer_*"))


def test_profile_folder_that_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", "--model_file=c.bin", "--profile_path=photo.png"]) == 2
    out, err = capsys.readouterr()
    assert "cannot write the profile to photo.png" in err
    assert "Frame count" not in out
