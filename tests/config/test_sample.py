"""`hb_mapper init` writes a configuration of its model, whatever the model is called."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_host.compiler.config import CompileConfig, load_config, resolve
from bpu_host.compiler.config.sample import guess, sample_advice, write_sample
from bpu_host.compiler.config.values import DeclaredShape

SIZES = st.integers(1, 1 << 16) | st.none() | st.text(min_size=1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def read_back(model: str, prefix: str, *inputs: tuple[str, DeclaredShape]) -> CompileConfig:
    text = write_sample("onnx", (model,), prefix, tuple(guess(*each) for each in inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path)


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.lists(SIZES, min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_model_gets_a_configuration_that_fits(
    inputs: dict[str, list[int | str | None]],
) -> None:
    declared = tuple((name, (1, *sizes)) for name, sizes in inputs.items())
    found = resolve(read_back("models/net.onnx", "net", *declared), declared)
    assert [item.name for item in found.inputs] == list(inputs)
    for item, (_, shape) in zip(found.inputs, declared, strict=True):
        assert all(size in (real, 224) for size, real in zip(item.shape, shape, strict=True))
    assert str(found.model_path) == "models/net.onnx"


@pytest.mark.parametrize(
    ("shape", "layout", "train", "rt", "marks"),
    [
        ((1, 3, 640, 480), "NCHW", "rgb", "nv12", 1),
        ((1, 224, 224, 3), "NHWC", "rgb", "nv12", 1),
        ((1, 3, 299, 299), "NCHW", "rgb", "rgb", 1),
        (("n", 3, 224, 224), "NCHW", "rgb", "nv12", 1),
        ((1, 3, "h", "w"), "NCHW", "rgb", "nv12", 2),
        ((8, 3, 224, 224), "NCHW", "rgb", "nv12", 2),
        ((1, 1, 32, 100), "NCHW", "featuremap", "featuremap", 1),
        ((1, 80), "NCHW", "featuremap", "featuremap", 0),
    ],
)
def test_guesses(shape: DeclaredShape, layout: str, train: str, rt: str, marks: int) -> None:
    found = guess("x", shape)
    assert (found.layout, found.train_type, found.rt_type) == (layout, train, rt)
    assert sum("CHECK" in each for each in found.reasons) == marks


def test_advice_names_the_folders_of_the_file() -> None:
    declared = (("a", (1, 3, 8, 8)), ("b", (1, 4)))
    inputs = tuple(guess(*each) for each in declared)
    found = read_back("n.onnx", "n", *declared)
    for item, line in zip(found.inputs, sample_advice(inputs), strict=True):
        assert str(item.cal_data_dir) in line
