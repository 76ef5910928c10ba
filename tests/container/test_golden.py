"""Stored files, one for each feature: the same bytes for ever, and the numbers they stand for.

python -m tests.container.test_golden      # writes them anew, after a change of the format

What a file must compute is worked out here from the definition, one number at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.frame import FrameInput, Roi
from bpu_common.model import BpuModel
from bpu_common.network import CustomOp, Dequantize, Operation, QConv, QEltwise, QLut, tensors_read
from bpu_common.program import EltwiseKind, Requant
from bpu_common.tensor import InputSource, Scale
from bpu_sim.engines.ort_engine import OrtEngine
from bpu_sim.engines.reference import ReferenceEngine
from bpu_sim.inputs import as_network_sees
from bpu_sim.machine import ExactPart
from tests.support.golden_models import GOLDEN, H, W, plain_model

FOLDER = Path(__file__).parents[1] / "golden"
MODELS = {"plain": plain_model, **GOLDEN}
Arrays = dict[str, np.ndarray]


def requantized(total: int, requant: Requant, clamp: tuple[int, int] = (-128, 127)) -> int:
    short = min(max((total + requant.bias) >> requant.right_shift, -(1 << 15)), (1 << 15) - 1)
    return min(max((short * requant.multiplier) >> requant.out_shift, clamp[0]), clamp[1])


def conv(op: QConv, x: np.ndarray, addend: np.ndarray | None) -> np.ndarray:
    y = np.zeros((1, H, W, len(op.weights)), np.int8)
    params = op.params
    for i, j, o in product(range(H), range(W), range(len(op.weights))):
        total = 0
        for a, b, c in product(range(3), range(3), range(x.shape[3])):
            row, column = i + a - 1, j + b - 1
            inside = 0 <= row < H and 0 <= column < W
            code = int(x[0, row, column, c]) if inside else op.pad_code
            total += code * int(op.weights[o, a, b, c])
        if addend is not None and op.addend is not None:
            total += int(addend[0, i, j, o]) * op.addend.factors[o]
        requant = Requant(
            int(params.bias_q[o]) << int(params.bias_shift[o]),
            int(params.right_shift[o]),
            int(params.multiplier[o]),
            int(params.out_shift[o]),
        )
        y[0, i, j, o] = requantized(total, requant, op.clamp)
    return y


def by_hand(op: Operation, xs: Sequence[np.ndarray], scale: Scale) -> np.ndarray:
    """The result of an operation of these models; `scale` is that of what is read first."""
    x = xs[0]
    match op:
        case QConv():
            return conv(op, x, xs[1] if len(xs) > 1 else None)
        case QLut():
            return np.array(
                [op.tables[0, code + 128] for code in x.astype(int).flat], np.int8
            ).reshape(x.shape)
        case QEltwise(kind=EltwiseKind.SCALE):
            y = np.zeros_like(x)
            for index in product(*map(range, x.shape)):
                entry = op.entries[index[3]]
                y[index] = requantized(int(x[index]) * entry.ka, entry.requant)
            return y
        case Dequantize():
            real = (x.astype(np.float32) - scale.zero_point) * np.float32(scale.value)
            return real.transpose(0, 3, 1, 2)
        case CustomOp():
            return x * np.float32(op.attributes["by"])
    raise AssertionError(op)


def expected(model: BpuModel, given: Arrays) -> Arrays:
    network = model.network
    values = dict(given)
    for op in network.ops:
        names = tensors_read(op)
        y = op.ys[0] if isinstance(op, CustomOp) else op.y  # type: ignore[union-attr]
        scale = network.tensors[names[0]].scale
        values[y] = by_hand(op, [values[name] for name in names], scale)
    return {output.tensor: values[output.tensor] for output in network.outputs}


def frame(model: BpuModel, number: int = 0) -> dict[str, FrameInput]:
    """What a caller gives: pixels that need no random generator; a picture for the resizer."""
    given: dict[str, FrameInput] = {}
    for item in model.inputs:
        if not item.input_type.is_image:
            codes = np.arange(item.tensor.element_count, dtype=np.int8) - 2
            given[item.tensor.name] = FrameInput(codes.reshape(item.tensor.shape))
        elif item.source is InputSource.RESIZER:
            picture = (np.arange(9 * 13) * 31 % 256).astype(np.uint8).reshape(1, 9, 13, 1)
            given[item.tensor.name] = FrameInput(picture, Roi(2, 1, 10, 7))
        else:
            pixels = ((np.arange(H * W) + number) * 37 % 256).astype(np.uint8)
            given[item.tensor.name] = FrameInput(pixels.reshape(item.tensor.shape))
    return given


def seen(model: BpuModel, given: Mapping[str, FrameInput]) -> Arrays:
    """As the network sees it; a region one pixel at a time."""
    found: Arrays = {}
    for name, each in given.items():
        found[name] = each.array
        if each.roi is not None:
            found[name] = scaled(each.array[0, :, :, 0], each.roi)[np.newaxis, :, :, np.newaxis]
        elif each.array.dtype == np.uint8:
            found[name] = (each.array.astype(np.int16) - 128).astype(np.int8)
    return found


def scaled(picture: np.ndarray, roi: Roi) -> np.ndarray:
    """Positions in 1/256, rounded half up, clamped to the region; sums rounded half up."""

    def position(index: int, count: int, size: int) -> tuple[int, int]:
        step = ((2 * index + 1) * count * 256 + size) // (2 * size) - 128
        return divmod(min(max(step, 0), (count - 1) * 256), 256)

    codes = np.zeros((H, W), np.int8)
    for i, j in product(range(H), range(W)):
        (row, down), (column, right) = position(i, roi.height, H), position(j, roi.width, W)
        total = 0
        for a, share in ((row, 256 - down), (min(row + 1, roi.height - 1), down)):
            for b, part in ((column, 256 - right), (min(column + 1, roi.width - 1), right)):
                total += share * part * int(picture[roi.top + a, roi.left + b])
        codes[i, j] = ((total + (1 << 15)) >> 16) - 128
    return codes


def stored(name: str) -> BpuModel:
    (found,) = container.load(FOLDER / f"{name}.bin")
    return found


def doubled(op: CustomOp) -> Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]:
    assert (op.module, op.class_name) == ("user.layers", "Doubled")
    return lambda xs: [xs[0] * np.float32(op.attributes["by"])]


def equal(found: Mapping[str, np.ndarray], wanted: Arrays) -> None:
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_there_is_a_file_for_each_feature_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.bin")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_bytes_are_those_that_are_stored(name: str) -> None:
    data = (FOLDER / f"{name}.bin").read_bytes()
    assert container.dump([MODELS[name]()]) == data
    assert container.dump(container.loads(data)) == data
    assert stored(name).features == (() if name == "plain" else (name,))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", [ReferenceEngine, OrtEngine])
def test_engines_compute_what_the_file_says(name: str, engine: type) -> None:
    model = stored(name)
    runs = engine(model.network, load_custom=doubled)
    given = frame(model)
    inputs = {
        item.tensor.name: as_network_sees(given[item.tensor.name], item) for item in model.inputs
    }
    equal(inputs, seen(model, given))
    equal(runs.run(inputs), expected(model, seen(model, given)))


@pytest.mark.parametrize("name", MODELS)
def test_instructions_compute_what_the_file_says(name: str) -> None:
    model = stored(name)
    [(part, made)] = model.bpu_parts
    images = {item.tensor.name: item for item in model.inputs}
    given = [frame(model, number) for number in range(made.program.frames)]
    found = ExactPart(part.name, made, images).run_frames(given)
    for inputs, outputs in zip(given, found, strict=True):
        wanted = expected(replace_outputs(model, part.outputs), seen(model, inputs))
        equal(outputs, wanted)


def replace_outputs(model: BpuModel, names: Sequence[str]) -> BpuModel:
    """The model as if it returned these tensors."""
    outputs = tuple(replace(model.network.outputs[0], name=name, tensor=name) for name in names)
    return replace(model, network=replace(model.network, outputs=outputs))


def write() -> None:
    """All files anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in MODELS.items():
        (FOLDER / f"{name}.bin").write_bytes(container.dump([make()]))


if __name__ == "__main__":
    write()
