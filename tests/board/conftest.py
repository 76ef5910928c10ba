"""A current directory with models and pictures for `hrt_model_exec`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bpu_common.tensor import InputType
from tests.support.console_board import picture, write
from tests.support.models_board import tiny_model


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HB_DNN_PROFILER_LOG_PATH", raising=False)
    write(tmp_path / "m.bin", tiny_model("net", InputType.NV12))
    write(tmp_path / "c.bin", tiny_model("classes", classify=True))
    write(tmp_path / "pack.bin", tiny_model("one"), tiny_model("two", InputType.NV12))
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    Image.fromarray(picture()).save(tmp_path / "photo.JPG", "JPEG")
    (tmp_path / "raw.bin").write_bytes(bytes(range(192)))
    return tmp_path
