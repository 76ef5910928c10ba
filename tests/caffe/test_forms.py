"""Old and new spellings of one network are the same; phases, names and weights by Caffe's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bpu_common.errors import BpuError
from bpu_host.compiler.frontend.caffe.caffemodel import read_caffemodel
from bpu_host.compiler.frontend.caffe.gen.caffe import weights_pb2 as pb
from tests.support import caffe_nets as nets

SHAPE = (1, 3, 8, 8)
BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
        inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
V1_BODY = """
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2
         weight_decay: 1 weight_decay: 0
         convolution_param { num_output: 4 kernel_size: 3 stride: 2
                             weight_filler { type: "gaussian" std: 0.01 } } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "ip" type: INNER_PRODUCT bottom: "conv" top: "ip"
         inner_product_param { num_output: 2 } }
layers { name: "prob" type: SOFTMAX bottom: "ip" top: "prob" }
"""
DIMS = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'
SHAPED = 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
HEADS = {"input_dim": DIMS, "input_shape": SHAPED, "Input": nets.inputs({"data": SHAPE})}
TRAINING = """
layer { name: "train" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        transform_param { mirror: true crop_size: 8 mean_file: "mean.binaryproto" }
        data_param { source: "lmdb" batch_size: 64 backend: LMDB } }
"""
LOSS = """
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
        include { phase: TRAIN } }
layer { name: "top5" type: "Accuracy" bottom: "ip" bottom: "label" top: "top5"
        accuracy_param { top_k: 5 } exclude { phase: TEST } }
layer { name: "stage" type: "Accuracy" bottom: "ip" top: "a" include { stage: "val" } }
layer { name: "level" type: "Accuracy" bottom: "ip" top: "b" include { min_level: 1 } }
layer { name: "other" type: "Accuracy" bottom: "ip" top: "c" exclude { not_stage: "val" } }
"""


def weights() -> dict[str, list[np.ndarray]]:
    shapes = {"a": (4, 3, 3, 3), "b": (4,), "c": (2, 36), "d": (2,)}
    a, b, c, d = nets.noise(shapes, 2).values()
    return {"conv": [a, b], "ip": [c, d]}


def numbers(tmp_path: Path, text: str, model: bytes | None = None) -> dict[str, np.ndarray]:
    files = nets.write(tmp_path, text, weights())
    if model is not None:
        files[1].write_bytes(model)
    return nets.run(nets.read(files), nets.noise({"data": SHAPE}))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", [BODY, V1_BODY], ids=["layer", "layers"])
def test_every_spelling_is_the_same_network(tmp_path: Path, head: str, body: str) -> None:
    if head == "Input" and body is V1_BODY:
        head = "input_shape"  # V1 has no Input layers
    own = numbers(tmp_path, HEADS[head] + body)
    files = (tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    (other,) = nets.run_opencv(files, nets.noise({"data": SHAPE}), "prob")
    np.testing.assert_allclose(own["prob"], other, atol=1e-6)


def test_what_belongs_to_training_is_left_out(tmp_path: Path) -> None:
    plain = numbers(tmp_path, HEADS["Input"] + BODY)
    both = numbers(tmp_path, TRAINING + HEADS["Input"] + BODY + LOSS)
    assert list(plain) == list(both) == ["prob"]
    np.testing.assert_array_equal(plain["prob"], both["prob"])


def test_the_state_of_the_file_chooses_stages(tmp_path: Path) -> None:
    text = HEADS["Input"] + BODY + nets.layer("Power", ["ip"], ["z"], 'include { stage: "deploy" }')
    assert list(numbers(tmp_path, text)) == ["prob"]
    assert list(numbers(tmp_path, 'state { stage: "deploy" }\n' + text)) == ["prob", "z"]


def model_in(form: str) -> bytes:
    """The same weights in another form of caffemodel."""
    network = pb.TrainedNetwork()
    for name, arrays in weights().items():
        old = form in ("v1", "four sizes")
        layer = network.layers.add(name=name) if old else network.layer.add(name=name)
        for array in arrays:
            blob = layer.blobs.add()
            if form == "four sizes":
                sizes = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = sizes
            else:
                blob.shape.dim.extend(array.shape)
            if form == "double":
                blob.double_data.append(array.astype("<f8").tobytes())
            elif form == "raw":
                blob.raw_data, blob.raw_data_type = array.astype("<f4").tobytes(), pb.Blob.FLOAT
            elif form == "pieces":
                raw = array.astype("<f4").tobytes()
                blob.data.extend([raw[:4], raw[4:]])
            elif form == "one by one":  # field 5, wire type 5
                raw = array.astype("<f4").tobytes()
                blob.MergeFromString(
                    b"".join(b"\x2d" + raw[at : at + 4] for at in range(0, len(raw), 4))
                )
            else:
                blob.data.append(array.astype("<f4").tobytes())
    return network.SerializeToString()


@pytest.mark.parametrize("form", ["v1", "four sizes", "double", "raw", "pieces", "one by one"])
def test_weights_are_read_in_every_form(tmp_path: Path, form: str) -> None:
    plain = numbers(tmp_path, HEADS["Input"] + BODY)
    other = numbers(tmp_path, HEADS["Input"] + BODY, model_in(form))
    np.testing.assert_array_equal(plain["prob"], other["prob"])


def test_half_precision_as_opencv_writes_it(tmp_path: Path) -> None:
    import cv2

    files = nets.write(tmp_path, HEADS["Input"] + BODY, weights())
    small = tmp_path / "small.caffemodel"
    cv2.dnn.shrinkCaffeModel(str(files[1]), str(small), [""])
    for name, blobs in read_caffemodel(small.read_bytes(), "small").items():
        for blob, array in zip(blobs, weights()[name], strict=True):
            np.testing.assert_array_equal(blob.values, array.astype("f2").astype("f4").reshape(-1))


def test_layers_in_place_keep_the_name_of_the_last(tmp_path: Path) -> None:
    text = nets.inputs({"x": (1, 3)})
    for index, kind in enumerate(("AbsVal", "Sigmoid", "TanH")):
        text += nets.layer(kind, ["x"], ["x"], name=f"l{index}")
    files = nets.write(tmp_path, text, {})
    model, feed = nets.read(files), nets.noise({"x": (1, 3)})
    assert [node.name for node in model.proto.graph.node] == ["l0", "l1", "l2"]
    (found,) = nets.run(model, feed).values()
    np.testing.assert_allclose(found, np.tanh(1 / (1 + np.exp(-np.abs(feed["x"])))), rtol=1e-5)


def test_silence_takes_an_output_away(tmp_path: Path) -> None:
    text = nets.inputs({"x": (1, 4)}) + nets.layer("Slice", ["x"], ["a", "b"])
    assert list(nets.run(nets.read(nets.write(tmp_path, text, {})), nets.noise({"x": (1, 4)}))) == [
        "a",
        "b",
    ]
    text += nets.layer("Silence", ["b"], [], name="quiet")
    assert list(nets.run(nets.read(nets.write(tmp_path, text, {})), nets.noise({"x": (1, 4)}))) == [
        "a"
    ]


def test_a_given_shape_wins_over_the_files(tmp_path: Path) -> None:
    text = nets.inputs({"x": (10, 3, 8, 8)}) + nets.layer(
        "Pooling", ["x"], ["y"], "pooling_param { kernel_size: 3 stride: 2 }"
    )
    files = nets.write(tmp_path, text, {})
    model = nets.read(files, {"x": (1, 3, 9, 12)})
    assert model.inputs == (("x", (1, 3, 9, 12)),)
    assert nets.run(model, nets.noise({"x": (1, 3, 9, 12)}))["y"].shape == (1, 3, 4, 6)
    assert nets.read(files, {"x": (1, 3)}).inputs == (("x", (10, 3, 8, 8)),)


def test_detection_output_is_cut_and_said(tmp_path: Path) -> None:
    shapes = {"loc": (1, 8), "conf": (1, 4), "prior": (1, 2, 8)}
    text = nets.inputs(shapes)
    for name in shapes:
        text += nets.layer("Power", [name], [f"{name}_2"], name=f"p_{name}")
    text += nets.layer("DetectionOutput", [f"{name}_2" for name in shapes], ["found"],
                       "detection_output_param { num_classes: 2 keep_top_k: 10 }")  # fmt: skip
    text += nets.layer("Power", ["conf_2"], ["also"], name="also")
    model = nets.read(nets.write(tmp_path, text, {}))
    assert list(nets.run(model, nets.noise(shapes))) == ["loc_2", "conf_2", "prior_2", "also"]
    (finding,) = model.findings
    assert finding.subject == "layer it"
    after = text + nets.layer("Power", ["found"], ["z"], name="after")
    with pytest.raises(
        BpuError, match=r"layer after .Power.: reads 'found' of layer it, which is cut off"
    ):
        nets.read(nets.write(tmp_path, after, {}))
