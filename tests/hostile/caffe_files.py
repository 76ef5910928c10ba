"""Caffe files: sizes that nobody has, messages of nothing, names that a terminal obeys."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.row import Row
from tests.support import caffe_nets as nets

CHECKER = (
    *("hb_mapper", "checker", "--model-type", "caffe"),
    *("--proto", "net.prototxt", "--model", "net.caffemodel"),
)
EMPTY_LAYER = b"\xa2\x06\x00"


def _row(name: str, text: str, answer: str, model: bytes = b"") -> Row:
    def make(folder: Path) -> None:
        nets.write(folder, text, {})
        if model:
            (folder / "net.caffemodel").write_bytes(model)

    return Row(name, make, CHECKER, answer, 1)


_INPUT = nets.inputs({"x": (1, 3, 8, 8)})
_RELU = _INPUT + nets.layer("ReLU", ["x"])
_DEEP = "convolution_param { num_output: 4000000000 kernel_size: 4000000000 bias_term: false }"

ROWS = (
    _row("caffe: a picture of 2^50 pixels",
         nets.inputs({"x": (1, 1, 1 << 25, 1 << 25)}) + nets.layer("ReLU", ["x"]), "is too large"),
    _row("caffe: weights of 2^66 values", _INPUT + nets.layer("Convolution", ["x"], more=_DEEP),
         "would have the shape"),
    _row("caffe: an upsampling by 2^31",
         _INPUT + nets.layer("Upsample", ["x"], more="upsample_param { scale: 2147483648 }"),
         "is too large"),
    _row("caffe: millions of empty layers", _RELU, "has more than 2000000 fields",
         EMPTY_LAYER * 3_000_000),
    _row("caffe: escape codes in a name", _INPUT + nets.layer("ReLU", ["x"], name="\\033[2Jrelu"),
         "control characters"),
    _row("caffe: a circle", _INPUT + nets.layer("ReLU", ["z"], ["y"], name="a")
         + nets.layer("ReLU", ["y"], ["z"], name="b"), "reads 'z', which no layer before it makes"),
)  # fmt: skip
