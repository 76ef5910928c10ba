"""A stored file gives the same numbers for ever, in every engine and by its instructions.

python -m tests.engines.test_golden      # writes it anew, after a change of the format
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.model import BpuModel
from bpu_sim.engines import open_engine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.hints import ENGINE, write_hints
from bpu_sim.machine import ExactPart
from tests.support.kernels_library import SETS

FILE = Path(__file__).with_name("golden") / "mixed.bin"
WANTED = "9f3805d9627ce6acaa60b571a2410d39d0394acf6c722592684832f1fe55dd7d"
"""SHA-256 of the outputs in their order, for `frame`."""


def frame(model: BpuModel) -> dict[str, np.ndarray]:
    """Input codes that need no random generator: every code, in steps of 7."""
    (image,) = model.inputs
    count = image.tensor.element_count
    codes = (np.arange(count) * 7 % 256 - 128).astype(np.int8)
    return {image.tensor.name: codes.reshape(image.tensor.shape)}


def digest(model: BpuModel, arrays: dict[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for output in model.network.outputs:
        array = np.ascontiguousarray(arrays[output.tensor])
        state.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return state.hexdigest()


@pytest.mark.parametrize("prefer", ["reference", "onnxruntime", *SETS])
def test_engines(prefer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BPU_KERNELS", raising=False)
    (model,) = container.load(FILE)
    engine, note = open_engine(model.network, prefer=prefer, hints=model.hints)
    assert prefer in note
    assert digest(model, engine.run(frame(model))) == WANTED


def test_instructions() -> None:
    (model,) = container.load(FILE)
    ((part, made),) = model.bpu_parts
    pixels = {
        name: (codes.astype(np.int16) + 128).astype(np.uint8)
        for name, codes in frame(model).items()
    }
    arrays = ExactPart(part.name, made, model.network.images).run(pixels)
    assert digest(model, arrays) == WANTED


def test_its_hints_are_those_of_today() -> None:
    """Other hints are no fault, but whoever changes the search should know and write the file."""
    (model,) = container.load(FILE)
    assert bytes(model.hints[ENGINE]) == write_hints(model.network, Plans.of(model.network))


def write() -> None:
    """The file, of the network with every kind of operation."""
    from bpu_common.machine import X3M
    from bpu_host.compiler.emit import EmitOptions, build_model
    from tests.support.nets_codes import mixed_network

    network = mixed_network()
    hints = {ENGINE: write_hints(network, Plans.of(network))}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(container.dump((build_model(network, X3M, EmitOptions(), hints=hints),)))
    (model,) = container.load(FILE)
    engine, _ = open_engine(model.network, prefer="reference")
    print(digest(model, engine.run(frame(model))))


if __name__ == "__main__":
    write()
