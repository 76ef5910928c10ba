"""`.bin` files that pass every checksum: shared sections, and names that a terminal obeys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bpu_common.container.layout import pack
from bpu_common.container.sections import write_sections
from bpu_common.model import BpuModel
from bpu_common.network import Network
from tests.hostile.row import Row
from tests.support.models_board import slow_model, tiny_model

SHOW = ("hrt_model_exec", "model_info", "--model_file", "model.bin")


def unchecked(models: Sequence[BpuModel]) -> bytes:
    """The file of models that `dump` would not write."""
    return pack(write_sections(models, lambda *_: None))


def renamed(model: BpuModel, name: str) -> BpuModel:
    """The same model under another name; its program is the same section of a file."""
    network: Network = replace(model.network, name=name)
    return replace(model, network=network)


def amplified(count: int, calls: int) -> bytes:
    """Models that share one program of so many function calls."""
    model = slow_model(calls=calls)
    return unchecked([renamed(model, f"m{index}") for index in range(count)])


def _row(name: str, content: Callable[[], bytes], answer: str) -> Row:
    def make(folder: Path) -> None:
        (folder / "model.bin").write_bytes(content())

    return Row(name, make, SHOW, answer, 1)


ROWS = (
    _row("one program 200 times", lambda: amplified(200, 2000), "more than 33554432 bytes"),
    _row(
        "escape codes in a model's name",
        lambda: unchecked([renamed(tiny_model(), "\x1b[2Jtiny")]),
        "none of them a control character",
    ),
)
