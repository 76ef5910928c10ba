"""Forms of operators as files of one opset or another write them, to be imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnx.defs
from onnx import TensorProto, helper, numpy_helper

NEWEST = 24
"""The last opset that onnxruntime runs."""
_X = (1, 4, 6, 8)


@dataclass(frozen=True)
class Form:
    """One way to write an operator.

    Attributes:
        first, last: opsets in which it means the same and onnxruntime runs it.
        shape: of its float input `data`.
        constants: its further inputs; None leaves one out.
        outputs: how many of its outputs are asked for.
        positive: its data is made positive.
    """

    op: str
    first: int
    last: int
    shape: tuple[int, ...] = _X
    constants: Sequence[Any] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    positive: bool = False

    def __str__(self) -> str:
        said = ",".join(f"{k}={v}" for k, v in self.attributes.items())
        shapes = [None if c is None else np.asarray(c).ravel()[:4].tolist() for c in self.constants]
        return f"{self.op}({said}){shapes or ''}".replace(" ", "")

    @property
    def source(self) -> str:
        """The name of its float input; forms with equal inputs share one."""
        return "x".join(map(str, self.shape)) + ("_positive" if self.positive else "")

    def data(self) -> np.ndarray:
        values = np.random.default_rng(5).normal(0, 1, self.shape).astype(np.float32)
        return np.abs(values) + np.float32(0.1) if self.positive else values

    def arrays(self) -> list[np.ndarray | None]:
        """The further inputs; real numbers are float32."""
        given = [None if value is None else np.asarray(value) for value in self.constants]
        return [
            array.astype(np.float32) if array is not None and array.dtype == np.float64 else array
            for array in given
        ]


def model_of(opset: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, Form]]:
    """All forms of one opset side by side in one model, its inputs, and the form of each output."""
    nodes, constants = [], []
    feeds: dict[str, np.ndarray] = {}
    outputs: dict[str, Form] = {}
    results = []
    for number, form in enumerate(forms()):
        if not form.first <= opset <= form.last:
            continue
        feeds[form.source] = form.data()
        names = [f"{form.source}_read"]
        for index, array in enumerate(form.arrays()):
            names.append("" if array is None else f"c{number}_{index}")
            if array is not None:
                constants.append(numpy_helper.from_array(array, names[-1]))
        made = [f"y{number}_{index}" for index in range(form.outputs)]
        nodes.append(helper.make_node(form.op, names, made, f"n{number}", **form.attributes))
        schema = onnx.defs.get_schema(form.op, opset, "")
        for index, name in enumerate(made):
            outputs[name] = form
            kind = _element_type(form, schema, index)
            results.append(helper.make_tensor_value_info(name, kind, None))
    first = [helper.make_node("Identity", [name], [f"{name}_read"], name=name) for name in feeds]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([*first, *nodes], "forms", inputs, results, constants)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 10)
    return model, feeds, outputs


def _element_type(form: Form, schema: onnx.defs.OpSchema, index: int) -> int:
    """Of one output: as its type variable is bound by the inputs, or the only one there is."""
    if form.op == "Cast":
        return int(form.attributes["to"])
    kind = schema.outputs[min(index, len(schema.outputs) - 1)].type_str
    read = [item.type_str for item in schema.inputs]
    if kind == read[0]:
        return TensorProto.FLOAT
    for name, array in zip(read[1:], form.arrays(), strict=False):
        if name == kind and array is not None:
            return helper.np_dtype_to_tensor_dtype(array.dtype)
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    first = allowed.get(kind, [kind])[0]
    return {"tensor(int64)": 7, "tensor(bool)": 9}.get(first, TensorProto.FLOAT)


def forms() -> Iterator[Form]:
    """All of them."""
    grid = np.random.default_rng(6).uniform(-1.2, 1.2, (1, 5, 7, 2))
    for mode, padding, corners in product(
        ("bilinear", "bicubic", "nearest"), ("zeros", "border", "reflection"), (0, 1)
    ):
        said = {"mode": mode, "padding_mode": padding, "align_corners": corners}
        yield Form("GridSample", 16, 19, constants=[grid], attributes=said)
        newer = {**said, "mode": mode.removeprefix("bi")}
        yield Form("GridSample", 20, 99, constants=[grid], attributes=newer)
    yield Form(
        "Einsum", 12, 99, constants=[np.ones((8, 3))], attributes={"equation": "nchw,wk->nckh"}
    )
    yield Form("Mod", 10, 99, constants=[np.asarray(0.7)], attributes={"fmod": 1})
    yield Form("Det", 11, 99, shape=(1, 4, 6, 6))
    yield Form("IsInf", 10, 99)
    yield from _resizes()
    yield from _normalizations()
    yield from _axes()
    yield from _reductions()
    yield from _limits_and_parts()
    yield from _windows()
    yield from _plain()


_SCALES = ((2, 2), (3, 3), (1, 2), (0.5, 0.5), (0.75, 0.6), (1.5, 1.7), (2, 0.5))


def _resizes() -> Iterator[Form]:
    for mode, (height, width) in product(("nearest", "linear"), _SCALES):
        scales = [1.0, 1.0, height, width]
        if min(height, width) >= 1:
            yield Form("Upsample", 7, 8, attributes={"mode": mode, "scales": scales})
            yield Form("Upsample", 9, 9, constants=[scales], attributes={"mode": mode})
        yield Form("Resize", 10, 10, constants=[scales], attributes={"mode": mode})
        yield Form("Resize", 11, 99, constants=[[], scales], attributes={"mode": mode})
    ways = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    for mode, way in product(("nearest", "linear", "cubic"), ways):
        attributes = {"mode": mode, "coordinate_transformation_mode": way}
        yield Form("Resize", 11, 99, constants=[[], [1.0, 1, 1.5, 2]], attributes=attributes)
        sizes = [[], [], np.array([1, 4, 9, 5])]
        yield Form("Resize", 11, 99, constants=sizes, attributes=attributes)
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        attributes = {"mode": "nearest", "nearest_mode": rounding}
        yield Form("Resize", 11, 99, constants=[[], [1.0, 1, 0.5, 2]], attributes=attributes)
    for mode in ("nearest", "linear"):  # other ranks
        yield Form("Upsample", 9, 9, (1, 3, 7), [[1.0, 1, 2]], {"mode": mode})
        yield Form("Resize", 10, 10, (5, 7), [[2.0, 1.5]], {"mode": mode})
        yield Form("Resize", 10, 10, (1, 3, 7), [[1.0, 1, 0.6]], {"mode": mode})
    yield Form("Upsample", 7, 8, attributes={"scales": [1.0, 1, 2, 2]})
    yield Form("Resize", 10, 10, constants=[[1.0, 1, 2, 2]])
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize", "mode": "linear"}
    roi = [0.0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9]
    yield Form("Resize", 11, 99, constants=[roi, [1.0, 1, 2, 2]], attributes=crop)


def _normalizations() -> Iterator[Form]:
    random = np.random.default_rng(2)
    four = [random.uniform(0.5, 1.5, 4).astype(np.float32) for _ in range(4)]
    yield Form("BatchNormalization", 7, 13, constants=four, attributes={"epsilon": 0.1})
    yield Form("BatchNormalization", 7, 8, constants=four, attributes={"spatial": 1})
    yield Form("BatchNormalization", 14, 99, constants=four, attributes={"momentum": 0.5})
    for first, last in ((7, 8),):
        each = [random.uniform(0.5, 1.5, _X[1:]).astype(np.float32) for _ in range(4)]
        yield Form("BatchNormalization", first, last, constants=each, attributes={"spatial": 0})
        flat = [random.uniform(0.5, 1.5, 6).astype(np.float32) for _ in range(4)]
        yield Form("BatchNormalization", first, last, (1, 6), flat, {"spatial": 0})
    yield Form("InstanceNormalization", 6, 99, constants=four[:2], attributes={"epsilon": 1e-3})
    yield Form("LRN", 1, 99, attributes={"size": 3, "alpha": 0.1})
    for p, axis in product((1, 2), (1, -1)):
        yield Form("LpNormalization", 1, 99, attributes={"p": p, "axis": axis})


def _axes() -> Iterator[Form]:
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        yield Form(op, 1, 12)
        yield Form(op, 13, 99)
        for axis in range(-4, 4):
            yield Form(op, 1 if axis >= 0 else 11, 99, attributes={"axis": axis})
    for axis in range(-4, 5):
        yield Form("Flatten", 1 if axis >= 0 else 11, 99, attributes={"axis": axis})
    for op, axis, keep in product(("ArgMax", "ArgMin"), (0, 1, 3, -1), (0, 1)):
        since = 1 if axis >= 0 else 11
        yield Form(op, since, 99, attributes={"axis": axis, "keepdims": keep})
    for axis in (1, 3, -2):
        since = 1 if axis >= 0 else 11
        yield Form("Concat", max(4, since), 99, constants=[np.ones(_X)], attributes={"axis": axis})
        yield Form("Gather", since, 99, constants=[np.array([2, 0])], attributes={"axis": axis})
        yield Form("TopK", since, 9, attributes={"axis": axis, "k": 2}, outputs=2)
        yield Form("TopK", 10, 99, constants=[np.array([2])], attributes={"axis": axis}, outputs=2)
        indices, updates = np.array([[[[2, 1], [0, 2]]]]), np.array([[[[9.0, 8], [7, 6]]]])
        given = {"axis": axis}
        yield Form("Scatter", max(9, since), 10, constants=[indices, updates], attributes=given)
        yield Form("ScatterElements", 11, 99, constants=[indices, updates], attributes=given)
        yield Form("GatherElements", 11, 99, constants=[indices], attributes=given)
    smallest = {"largest": 0, "axis": 2}
    yield Form("TopK", 11, 99, constants=[np.array([3])], attributes=smallest, outputs=2)
    yield Form("CumSum", 11, 99, constants=[np.array(2)], attributes={"reverse": 1})


_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def _reductions() -> Iterator[Form]:
    for op, keep in product(_REDUCTIONS, (0, 1)):
        given = {"keepdims": keep}
        moved = 13 if op == "ReduceSum" else 18
        yield Form(op, 1, 99, attributes=given, positive=True)
        for axes in ([1], [2, 3], [-1], [0, -2]):
            since = 1 if min(axes) >= 0 else 11
            old = {**given, "axes": axes}
            yield Form(op, since, moved - 1, attributes=old, positive=True)
            new = [np.array(axes)]
            yield Form(op, moved, 99, constants=new, attributes=given, positive=True)
        idle = {**given, "noop_with_empty_axes": 1}
        yield Form(op, moved, 99, attributes=idle, positive=True)


def _limits_and_parts() -> Iterator[Form]:
    low, high = np.float32(-0.4), np.float32(0.6)
    yield Form("Clip", 6, 10, attributes={"min": -0.4, "max": 0.6})
    yield Form("Clip", 6, 10, attributes={"min": -0.4})
    yield Form("Clip", 6, 10, attributes={"max": 0.6})
    yield Form("Clip", 6, 99)
    yield Form("Clip", 11, 99, constants=[low, high])
    yield Form("Clip", 11, 99, constants=[None, high])
    for mode in ("constant", "reflect", "edge"):
        pads = [0, 0, 1, 2, 0, 0, 2, 1]
        old = {"pads": pads, "mode": mode, "value": 0.5}
        yield Form("Pad", 2, 10, attributes=old)
        yield Form("Pad", 11, 99, constants=[np.array(pads), 0.5], attributes={"mode": mode})
    yield Form("Pad", 2, 10, attributes={"pads": [0, 0, -1, 1, 0, 0, -2, 0]})
    parts = {"starts": [1, -6], "ends": [5, 9999], "axes": [2, 3]}
    yield Form("Slice", 1, 9, attributes=parts)
    yield Form("Slice", 1, 9, attributes={"starts": [0, 1], "ends": [1, 3]})
    bounds = [np.array(parts["starts"]), np.array(parts["ends"])]
    yield Form("Slice", 10, 99, constants=[*bounds, np.array([2, 3]), np.array([2, 1])])
    backwards = [np.array([-1]), np.array([-9999]), np.array([3]), np.array([-2])]
    yield Form("Slice", 10, 99, constants=backwards)
    yield Form("Split", 2, 12, attributes={"axis": 1}, outputs=2)
    yield Form("Split", 2, 12, attributes={"axis": 3, "split": [1, 5, 2]}, outputs=3)
    yield Form("Split", 13, 17, attributes={"axis": 1}, outputs=2)
    yield Form("Split", 13, 99, constants=[np.array([1, 5, 2])], attributes={"axis": 3}, outputs=3)
    yield Form("Split", 18, 99, attributes={"axis": -1, "num_outputs": 3}, outputs=3)
    thin = (1, 4, 1, 8)
    yield Form("Squeeze", 1, 99, thin)
    yield Form("Squeeze", 1, 12, thin, attributes={"axes": [0, 2]})
    yield Form("Squeeze", 11, 12, thin, attributes={"axes": [-2]})
    yield Form("Squeeze", 13, 99, thin, [np.array([-2])])
    yield Form("Unsqueeze", 1, 12, (4, 8), attributes={"axes": [0, 2]})
    yield Form("Unsqueeze", 11, 12, (4, 8), attributes={"axes": [-1]})
    yield Form("Unsqueeze", 13, 99, (4, 8), [np.array([0, -1])])
    yield Form("Reshape", 5, 99, constants=[np.array([0, -1, 8])])
    yield Form("Expand", 8, 99, (1, 4, 1, 8), [np.array([1, 4, 6, 8])])
    yield Form("Tile", 6, 99, constants=[np.array([1, 1, 2, 1])])
    yield Form("Dropout", 7, 11, attributes={"ratio": 0.5})
    yield Form("Dropout", 12, 99, constants=[0.5])
    yield Form("Dropout", 7, 99)
    for kind in (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT):
        yield Form("Cast", 6, 99, attributes={"to": kind})


def _windows() -> Iterator[Form]:
    weights = np.random.default_rng(3).normal(0, 0.2, (4, 4, 3, 3)).astype(np.float32)
    windows: list[dict[str, Any]] = [
        {"kernel_shape": [3, 3]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        *({"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": auto}
          for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    ]  # fmt: skip
    for window in windows:
        yield Form("Conv", 1, 99, constants=[weights], attributes=window)
        yield Form("ConvTranspose", 1, 99, constants=[weights], attributes=window)
        for op in ("MaxPool", "AveragePool"):
            yield Form(op, 1, 99, attributes=window)
            if "auto_pad" not in window:
                yield Form(op, 10, 99, attributes={**window, "ceil_mode": 1})
        yield Form("LpPool", 2, 99, attributes={**window, "p": 2})
    counted = {**windows[1], "count_include_pad": 1}
    yield Form("AveragePool", 7, 99, attributes=counted)
    yield Form("MaxPool", 8, 99, attributes=windows[1], outputs=2)
    yield Form("MaxPool", 10, 99, attributes={"kernel_shape": [2, 2], "dilations": [2, 2]})
    boxes, batch = np.array([[0.0, 0.3, 5, 4], [1, 1, 7, 5]]), np.array([0, 0])
    for given in ({"sampling_ratio": 2}, {"output_height": 2, "output_width": 3, "mode": "max"}):
        yield Form("RoiAlign", 10, 15, constants=[boxes, batch], attributes=given)
        yield Form("RoiAlign", 16, 21, constants=[boxes, batch], attributes=given)
    unshifted = {"coordinate_transformation_mode": "output_half_pixel"}
    yield Form("RoiAlign", 16, 21, constants=[boxes, batch], attributes=unshifted)
    rois = np.array([[0.0, 0, 0, 5, 4], [0, 1, 1, 7, 5]])
    given = {"pooled_shape": [2, 2], "spatial_scale": 1.0}
    yield Form("MaxRoiPool", 1, 21, constants=[rois], attributes=given)
    random = np.random.default_rng(4)
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        kernels = [
            random.normal(0, 0.3, (1, gates * 3, size)).astype(np.float32) for size in (5, 3)
        ]
        yield Form(op, 7, 99, (4, 1, 5), kernels, {"hidden_size": 3}, outputs=2)


_UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Elu", "Erf",
    "Exp", "Floor", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "HardSigmoid",
    "HardSwish", "Identity", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "NonZero", "Reciprocal",
    "Relu", "Round", "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Softplus",
    "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Transpose",
)  # fmt: skip
_BINARY = (
    "Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean",
    "Min", "Mul", "PRelu", "Pow", "Sub", "Sum",
)  # fmt: skip


def _plain() -> Iterator[Form]:
    for op in _UNARY:
        last = 21 if op == "GlobalLpPool" else 99
        yield Form(op, _since(op), last, positive=op in ("Log", "Sqrt"))
    other = np.random.default_rng(6).normal(0, 1, (4, 1, 8)).astype(np.float32)
    for op in _BINARY:
        yield Form(op, max(8, _since(op)) if op in ("Max", "Mean", "Min", "Sum") else _since(op),
                   99, constants=[other], positive=op == "Pow")  # fmt: skip
    square = np.random.default_rng(7).normal(0, 1, (8, 8)).astype(np.float32)
    yield Form("MatMul", 1, 99, constants=[square])
    yield Form("Gemm", 7, 99, (1, 8), [square, square[0]], {"transB": 1, "alpha": 0.5})
    yield Form("Gemm", 11, 99, (1, 8), [square])
    yield Form("DepthToSpace", 1, 99, attributes={"blocksize": 2})
    yield Form("DepthToSpace", 11, 99, attributes={"blocksize": 2, "mode": "CRD"})
    yield Form("SpaceToDepth", 1, 99, attributes={"blocksize": 2})
    yield Form("QuantizeLinear", 10, 99, constants=[np.float32(0.1), np.int8(3)])
    yield Form("GatherND", 11, 99, constants=[np.array([[0, 1], [0, 3]])])
    yield Form("ScatterND", 11, 99, constants=[np.array([[0, 1]]), np.ones((1, 6, 8))])
    yield Form("LeakyRelu", 6, 99, attributes={"alpha": 0.3})


def _since(op: str) -> int:
    if op == "Equal":
        return 11  # for real numbers
    return min(s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == op)
