"""`.bin` files whose float operators trap, take all memory or lie about their results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bpu_common.model import BpuModel
from bpu_common.tensor import DType
from tests.hostile.bin_files import unchecked
from tests.hostile.row import Row
from tests.support.hostile_cpu import (
    LEAST,
    cpu_model,
    declaring_model,
    dividing_model,
    folded_model,
    large_model,
    looping_op,
)
from tests.support.nets_engines import cpu_network, float_spec

INFER = ("hrt_model_exec", "infer", "--model_file", "model.bin", "--input_file")


def looping_model() -> BpuModel:
    """A `Loop`, which no network may hold."""
    specs = [float_spec(name, (1,)) for name in "xy"]
    return cpu_model("loop", cpu_network([looping_op("y", ["x"])], specs))


MODELS: dict[str, tuple[Callable[[], BpuModel], dict[str, np.ndarray], str]] = {
    "a division that traps": (
        dividing_model,
        {"a": np.array([LEAST], np.int32), "b": np.array([-1], np.int32)},
        "SIGFPE: an integer division without a result",
    ),
    "a division of constants that traps": (
        folded_model,
        {"a": np.array([1], np.int32)},
        "SIGFPE: an integer division without a result",
    ),
    "an endless loop": (looping_model, {"x": np.zeros(1, np.float32)}, "Loop' is not one that"),
    "3 GB in an operator": (
        lambda: large_model(3 << 28),
        {"x": np.ones((1, 1), np.float32)},
        "more memory than it may have",
    ),
    "another type than declared": (
        lambda: declaring_model(DType.INT32, (1, 4)),
        {"x": np.zeros((1, 4), np.float32)},
        "net_cpu_0 cannot be run",
    ),
    "another shape than declared": (
        lambda: declaring_model(DType.FLOAT32, (1, 8)),
        {"x": np.zeros((1, 4), np.float32)},
        "came out as float32",
    ),
}
"""By name: the model, what it is run on, and the sentence for its user."""


def file_of(name: str) -> bytes:
    """The `.bin` of one of MODELS."""
    return unchecked([MODELS[name][0]()])


def _row(name: str) -> Row:
    _, given, answer = MODELS[name]

    def make(folder: Path) -> None:
        (folder / "model.bin").write_bytes(file_of(name))
        for key, array in given.items():
            (folder / f"{key}.bin").write_bytes(array.tobytes())

    files = ",".join(f"{key}.bin" for key in given)
    return Row(f"{name}, .bin", make, (*INFER, files), answer, 1)


ROWS = tuple(map(_row, MODELS))
