"""What cannot be converted is refused in one sentence that names file, line or layer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from bpu_common.errors import BpuError
from tests.caffe.test_forms import BODY, DIMS, weights
from tests.support import caffe_nets as nets

X = nets.inputs({"x": (1, 3, 8, 8)})


def refused(tmp_path: Path, text: str, blobs=None) -> BpuError:
    with pytest.raises(BpuError) as caught:
        nets.read(nets.write(tmp_path, text, blobs or {}))
    assert "\n" not in caught.value.message
    return caught.value


def one(kind: str, more: str = "", bottoms=("x",), tops=("y",)) -> str:
    return X + nets.layer(kind, bottoms, tops, more)


def conv(more: str) -> str:
    return one("Convolution", f"convolution_param {{ {more} }}")


TEXTS = (
    ("layer {", "net.prototxt:1:7: "),
    ("layer { name: 3 }", "net.prototxt:1:15: "),
    ("layer { nmae: 'x' }", 'has no field named "nmae"'),
    (X + 'layer { name: "a" type: RELU }', "net.prototxt:2:"),
    ("layers { layer { name: 'x' } }", "oldest form"),
    ("layers { name: 'a' type: RELU } " + X, "both 'layer' and 'layers'"),
    ("input: 'x' input_dim: 3", "1 values of input_dim"),
    ("input: 'x' input: 'y' input_shape { dim: 1 }", "2 inputs and 1 shapes"),
    ("input: 'x' " + nets.layer("ReLU", ["x"]), "input 'x' has the shape []"),
    (nets.inputs({"x": (1, 0, 2)}), "input 'x' has the shape [1, 0, 2]"),
    (X + X, "layer x (Input): makes 'x', which is there already"),
    (X, "no layer whose output nothing reads"),
    (one("ReLU", "include { phase: TEST } exclude { phase: TRAIN }"), "both kinds"),
    (one("ReLU", bottoms=("z",)), "layer it (ReLU): reads 'z', which no layer before it makes"),
    (one("ReLU", bottoms=("y",)), "reads 'y', which no layer before it makes"),
    (one("ReLU") + nets.layer("TanH", ["x"], name="b"), "b (TanH): makes 'y', which is there"),
    (one("Split", tops=("y", "y")), "makes 'y' twice"),
    (one("Slice", tops=("y", "y")), "makes 'y' twice"),
    (one("ReLU", tops=("y", "z")), "has 2 tops, not 1"),
    (one("ReLU", tops=()), "has 0 tops, not 1"),
    (X + 'layer { type: "ReLU" bottom: "x" top: "y" }', "a layer of type ReLU without a name"),
    (one("ReLU") + 'layer { name: "a\\u0007" type: "ReLU" }', "has control characters"),
    (one("Bogus"), "ValueError: Not support layer name=it type=Bogus"),
    (one("Accuracy"), "ValueError: Not support layer name=it type=Accuracy"),
    (one("Proposal"), "ValueError: Not support layer name=it type=Proposal"),
    (one("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 2 }", ("x", "x")),
     "its regions are [1, 3, 8, 8], not R x 5"),
    (conv("num_output: 4"), "kernel_size is missing"),
    (conv("kernel_size: 3"), "num_output is missing"),
    (conv("num_output: 4 kernel_h: 3"), "has kernel_h alone"),
    (conv("num_output: 4 kernel_h: 3 kernel_w: 3 kernel_size: 3"), "both kernel_size and"),
    (conv("num_output: 4 kernel_size: [3, 3, 3]"), "3 values of kernel_size for 2 axes"),
    (conv("num_output: 4 kernel_size: 3 stride: 0"), "must be at least 1"),
    (conv("num_output: 4 kernel_size: 3 group: 2"), "cannot be divided into 2 groups"),
    (conv("num_output: 4 kernel_size: 3 group: 0"), "cannot be divided into 0 groups"),
    (conv("num_output: 4 kernel_size: 3 axis: 2"), "axis 2 is not possible"),
    (conv("num_output: 4 kernel_size: 3"), "model: layer it (Convolution): has no weights 0"),
    (conv("num_output: 4294967295 kernel_size: 3"), "too large"),
    (conv("num_output: 4 kernel_size: 4294967295"), "too large"),
    (one("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"), "stochastic"),
    (one("Pooling"), "kernel_size is missing"),
    (one("Pooling", "pooling_param { kernel_size: 1 stride: 3 }"), "last window would lie outside"),
    (one("Pooling", "pooling_param { kernel_size: 2 pad: 2 }"), "not smaller than its kernel"),
    (one("Pooling", "pooling_param { kernel_size: 20 }"), "would have the shape"),
    (one("Pooling", "pooling_param { global_pooling: true pad: 1 }"), "neither pad nor stride"),
    (one("BatchNorm", "batch_norm_param { use_global_stats: false }"), "use_global_stats is false"),
    (one("Softmax", "softmax_param { axis: 4 }"), "axis 4 does not exist"),
    (one("Reshape", "reshape_param { shape { dim: 7 dim: -1 } }"), "cannot be reshaped"),
    (one("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }"), "not possible"),
    (one("Slice", "slice_param { slice_point: 3 }", tops=("y", "z")), "does not make 2 pieces"),
    (one("Slice", "", tops=("y", "z")), "cannot be divided into 2"),
    (one("Permute", "permute_param { order: 1 order: 1 }"), "no order of 4 axes"),
    (one("Tile", "tile_param { tiles: 100000000 }"), "too large"),
    (one("Upsample", "upsample_param { scale: 100000 }"), "too large"),
    (one("Upsample", "upsample_param { scale: 2 }", ("x", "x")), "does not hold the positions"),
    (one("Eltwise"), "reads 1 blobs, not two or more"),
    (one("Eltwise", "eltwise_param { coeff: 1 }", ("x", "x")), "1 values of coeff for 2"),
    (one("Exp", "exp_param { base: -2 }"), "base -2 is not possible"),
    (one("ArgMax", "argmax_param { top_k: 500 }"), "top_k 500 is not possible"),
    (one("LRN", "lrn_param { local_size: 4 }"), "must be odd"),
    (one("LRN", "lrn_param { local_size: 1025 }"), "at most 1023"),
    (one("LRN", "lrn_param { alpha: -1 }"), "alpha and beta must be above 0"),
    (one("Power", "power_param { shift: nan }"), "layer it: shift is not a finite number"),
    (one("PriorBox", "prior_box_param { min_size: [1, inf] }"), "min_size is not a finite number"),
    (one("PriorBox", "prior_box_param { }", ("x", "x")), "min_size is missing"),
    (one("Interp", "interp_param { pad_beg: 1 height: 4 width: 4 }"), "above 0 are not available"),
    (one("Crop", "crop_param { offset: 5 }", ("x", "x")), "lies outside"),
    (one("Reorg", "reorg_param { stride: 2 }"), "cannot be reorganized"),
    (one("MatMul", "", ("x", "x")) .replace("8 dim: 8", "8 dim: 7"), "cannot be multiplied"),
    (one("LSTM", "recurrent_param { num_output: 4 }", ("x", "x")), "not [1, 3]"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), TEXTS, ids=lambda value: value[-60:])
def test_each_mistake_has_its_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in str(refused(tmp_path, text))


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    text = conv("num_output: 4 kernel_size: 3")
    wrong = {"it": [np.zeros((4, 3, 3, 2)), np.zeros(4)]}
    assert "weights 0 are 72 values of shape [4, 3, 3, 2]" in str(refused(tmp_path, text, wrong))
    turned = {"it": [np.zeros((3, 4, 3, 3)), np.zeros(4)]}
    assert "the prototxt needs [4, 3, 3, 3]" in str(refused(tmp_path, text, turned))


def test_a_name_twice_is_refused_where_weights_depend_on_it(tmp_path: Path) -> None:
    text = conv("num_output: 4 kernel_size: 3").replace('"y"', '"m"')
    text += nets.layer(
        "Convolution", ["m"], more="convolution_param { num_output: 4 kernel_size: 3 }"
    )
    blobs = {"it": [np.zeros((4, 3, 3, 3)), np.zeros(4)]}
    assert "has 2 layers of the name 'it', which has weights" in str(refused(tmp_path, text, blobs))
    plain = one("ReLU", tops=("m",)) + nets.layer("TanH", ["m"])
    model = nets.read(nets.write(tmp_path, plain, {}))
    assert len({node.name for node in model.proto.graph.node}) == 2


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model at all", b"\xff" * 40])
def test_no_caffemodel(tmp_path: Path, data: bytes) -> None:
    files = nets.write(tmp_path, DIMS + BODY, weights())
    files[1].write_bytes(data)
    with pytest.raises(BpuError, match=r"net.caffemodel: not a caffemodel"):
        nets.read(files)


def test_both_files_in_the_wrong_places(tmp_path: Path) -> None:
    prototxt, model = nets.write(tmp_path, DIMS + BODY, weights())
    with pytest.raises(BpuError, match=r"--proto and prototxt name the .prototxt"):
        nets.read((model, prototxt))


def test_a_cut_or_changed_file_never_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    """Every cut, and random changes of bytes, of both files."""
    text = TEXTS_OF_ALL
    prototxt, model = nets.write(tmp_path, text, weights())
    draw, errors = random.Random(7), list[str]()
    for path in (prototxt, model):
        whole = path.read_bytes()
        cuts = [whole[:at] for at in range(0, len(whole), max(1, len(whole) // 150))]
        for _ in range(300):
            changed = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            cuts.append(bytes(changed))
        for data in cuts:
            path.write_bytes(data)
            errors += _sentences(prototxt, model)
        path.write_bytes(whole)
    assert len(errors) > 300
    assert not [each for each in errors if "the log has the details" in each]


def _sentences(prototxt: Path, model: Path) -> list[str]:
    """The error that two files end in, if any; nothing else may be raised."""
    try:
        nets.read((prototxt, model))
    except BpuError as error:
        return [str(error)]
    return []


TEXTS_OF_ALL = (
    DIMS
    + BODY
    + "".join(
        nets.layer(kind, ["data"], [f"t{index}"], name=f"n{index}")
        for index, kind in enumerate(
            ("AbsVal", "LRN", "MVN", "SPP", "ArgMax", "Flatten", "Permute")
        )
    ).replace('"SPP"', '"Split"')
)


def test_what_is_too_large(tmp_path: Path) -> None:
    big = nets.write(tmp_path, " " * (2 << 20) + " ", {})
    with pytest.raises(BpuError, match="files end at 2 MiB"):
        nets.read(big)
    many = X + "".join(nets.layer("ReLU", ["x"], ["x"], name=f"n{i}") for i in range(20_001))
    assert "more than 20000 layers" in str(refused(tmp_path, many))


BROAD = {
    "tops": one("Slice", tops=tuple(f"t{index}" for index in range(100_000))),
    "names": one("ReLU", tops=("y" * 2000,)),
    "priors": one("PriorBox", f"prior_box_param {{ {'aspect_ratio: 2 ' * 60_000} }}", ("x", "x")),
    "axes": nets.inputs({"x": (1,) * 5000}) + nets.layer("ReLU", ["x"]),
    "stages": "state { " + 'stage: "a" ' * 20_000 + "}"
    + X + nets.layer("ReLU", ["x"], more='include { stage: "b" } ' * 20_000),
    "in place": nets.inputs({f"x{index}": (1, 1) for index in range(5000)})
    + nets.layer("Eltwise", [f"x{index}" for index in range(5000)], ["x0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROAD)
def test_breadth_costs_no_more_than_its_text(tmp_path: Path, name: str) -> None:
    """Long lists end in a sentence, or are read; what grows by their square would not end."""
    try:
        nets.read(nets.write(tmp_path, BROAD[name], {}))
    except BpuError as error:
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        assert name == "in place"
