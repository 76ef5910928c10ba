"""The code of the task pages runs as it is printed, with a small model and a simulated board."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.support import caffe_nets
from tests.support.agent_remote import Agent
from tests.support.nets_front import classifier

ROOT = Path(__file__).parents[2]
PAGES = ("your-model", "caffe", "migration", "calibration", "cpu-operators", "faq", "python-api")
SIZE = 32
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_YAML_NAME = re.compile(r"# (\S+\.yaml)\n")


class Block(NamedTuple):
    """Fenced code of a page; `text` and the like are only shown."""

    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced code of a page, in order."""
    text = page.read_text()
    return [
        Block(found[1], found[2], text[: found.start()].count("\n") + 2)
        for found in _FENCE.finditer(text)
    ]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        yield running


@pytest.fixture
def workplace(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a classifier of pictures, photos, a cat, and the board that is meant."""
    random = np.random.default_rng(1)
    onnx.save(classifier(SIZE), tmp_path / "net.onnx")
    caffe_nets.write(tmp_path, *caffe_nets.classifier(SIZE))
    (tmp_path / "photos").mkdir()
    for index in range(4):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    Image.fromarray(random.integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / "cat.jpg")
    (tmp_path / "labels.txt").write_text("\n".join(f"class {index}" for index in range(10)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPU_BOARD", agent.address)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, workplace: Path) -> None:
    names: dict[str, object] = {"__name__": "__page__"}
    path = ROOT / "docs" / f"{page}.md"
    found = blocks(path)
    assert found
    for block in found:
        match block.language:
            case "python":
                padded = "\n" * (block.line - 1) + block.code
                exec(compile(padded, str(path), "exec"), names)
            case "sh":
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", block.code], capture_output=True, text=True
                )
                assert done.returncode == 0, f"{path}:{block.line}\n{done.stdout}{done.stderr}"
            case "yaml":
                name = _YAML_NAME.match(block.code)
                assert name, f"{path}:{block.line}: the first line names the file"
                (workplace / name[1]).write_text(block.code)
            case other:
                assert other == "text", f"{path}:{block.line}: {other} is neither run nor shown"
