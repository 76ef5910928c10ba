"""ONNX files: functions that unfold, names that a terminal obeys, and what no exporter writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.row import Row
from tests.support.nets_front import Net

CHECKER = ("hb_mapper", "checker", "--model-type", "onnx", "--model", "net.onnx")


def nested_functions(depth: int, calls: int = 2) -> onnx.ModelProto:
    """Functions of which each calls the next one `calls` times: `calls` to the power of `depth`."""
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    functions = []
    for level in range(depth):
        names = ["x", *(f"t{index}" for index in range(calls - 1)), "y"]
        nodes = [
            helper.make_node(f"f{level + 1}", [source], [result], domain="local")
            if level + 1 < depth
            else helper.make_node("Relu", [source], [result])
            for source, result in pairwise(names)
        ]
        functions.append(helper.make_function("local", f"f{level}", ["x"], ["y"], nodes, imports))
    return _calling(functions, imports)


def recursive_function() -> onnx.ModelProto:
    """A function that calls itself."""
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    node = helper.make_node("f0", ["x"], ["y"], domain="local")
    return _calling([helper.make_function("local", "f0", ["x"], ["y"], [node], imports)], imports)


def _calling(
    functions: list[onnx.FunctionProto], imports: list[onnx.OperatorSetIdProto]
) -> onnx.ModelProto:
    node = helper.make_node("f0", ["data"], ["out"], domain="local")
    shape = [1, 3, 8, 8]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("data", "out")
    ]
    graph = helper.make_graph([node], "net", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def large_constant_called_often() -> onnx.ModelProto:
    """A megabyte that a function would put into the model a thousand times."""
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    value = onnx.numpy_helper.from_array(np.ones((1, 1, 512, 512), np.float32), "big")
    held = [
        helper.make_node("Constant", [], ["c"], value=value),
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=1),
        helper.make_node("Add", ["x", "m"], ["y"]),
    ]
    names = ["x", *(f"t{index}" for index in range(999)), "y"]
    calls = [
        helper.make_node("f1", [source], [result], domain="local")
        for source, result in pairwise(names)
    ]
    functions = [
        helper.make_function("local", "f0", ["x"], ["y"], calls, imports),
        helper.make_function("local", "f1", ["x"], ["y"], held, imports),
    ]
    return _calling(functions, imports)


def named(name: str) -> onnx.ModelProto:
    """A model with a node of this name."""
    net = Net([1, 3, 8, 8])
    return net.model(net.add("Relu", net.conv("data", (3, 4)), name=name))


def odd_tensor(data_type: int) -> onnx.ModelProto:
    """Weights of an element type that nothing computes with."""
    net = Net([1, 3, 8, 8])
    model = net.model(net.conv("data", (3, 4)))
    model.graph.initializer[0].data_type = data_type
    return model


def short_weights() -> onnx.ModelProto:
    """Weights whose bytes are fewer than their shape."""
    net = Net([1, 3, 8, 8])
    model = net.model(net.conv("data", (3, 4)))
    weights = model.graph.initializer[0]
    weights.raw_data = weights.raw_data[:-3]
    return model


def external(file: str) -> onnx.ModelProto:
    """Weights that lie in a file beside the model."""
    net = Net([1, 3, 8, 8])
    model = net.model(net.conv("data", (3, 4)))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], file, 0)
    model.graph.initializer[0].ClearField("raw_data")
    return model


def segmented() -> onnx.ModelProto:
    """A tensor in segments, which ONNX has and nothing reads."""
    net = Net([1, 3, 8, 8])
    model = net.model(net.conv("data", (3, 4)))
    model.graph.initializer[0].segment.begin = 1
    model.graph.initializer[0].segment.end = 5
    return model


def not_utf8() -> bytes:
    """A name in bytes that are no text."""
    return (
        named("name_to_break").SerializeToString().replace(b"name_to_break", b"name_\xff\xfe_break")
    )


def endless_loop() -> onnx.ModelProto:
    """ONNX's Loop, for ever."""
    true = helper.make_node("Identity", ["keep"], ["keep_out"])
    step = helper.make_node("Identity", ["value"], ["value_out"])
    body = helper.make_graph(
        [true, step],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("keep_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    net = Net([1, 3, 8, 8])
    rounds = net.constant(np.array(1 << 62, np.int64))
    keep = net.constant(np.array(True))
    return net.model(net.add("Loop", rounds, keep, "data", body=body))


def large_batch(size: int) -> onnx.ModelProto:
    """So many pictures at once; nothing of them is in the file."""
    net = Net([size, 3, 8, 8])
    return net.model(net.add("Relu", net.conv("data", (3, 4))))


def large_constants(count: int, *sizes: int) -> onnx.ModelProto:
    """Constants of these sizes, of each of which a frame reads something."""
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 4))
    at = net.add("ArgMax", net.add("Flatten", x), axis=1)
    for _ in range(count):
        large = net.add("ConstantOfShape", net.constant(np.array(sizes, np.int64)))
        read = net.add("ReduceMax", net.add("Gather", large, at), keepdims=0)
        x = net.add("Add", x, read)
    return net.model(x)


def _row(name: str, model: Callable[[], onnx.ModelProto | bytes], answer: str) -> Row:
    def make(folder: Path) -> None:
        made = model()
        data = made if isinstance(made, bytes) else made.SerializeToString()
        (folder / "net.onnx").write_bytes(data)

    return Row(name, make, CHECKER, answer, 1)


ROWS = (
    _row("functions, 2^30 nodes", lambda: nested_functions(30), "at most 50000 nodes"),
    _row("escape codes in a name", lambda: named("\x1b[2Jconv"), "control characters"),
    _row("an endless loop", endless_loop, "Loop"),
    _row("a batch of a million", lambda: large_batch(1 << 20), "tensors of 1792 MiB at once"),
    _row("large constants", lambda: large_constants(20, 64, 1 << 20), "MiB at once, at most 1024"),
    _row("long constants", lambda: large_constants(4, 1 << 24), "67108864 elements together"),
)

REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "a chain of functions": (lambda: nested_functions(300, 1), "nested more than 64 deep"),
    "a large constant": (large_constant_called_often, "functions written out"),
    "a recursive function": (recursive_function, "function 'f0' calls itself"),
    "a name that is no text": (not_utf8, "not UTF-8"),
    "weights of strings": (lambda: odd_tensor(TensorProto.STRING), "needs 108 and has 0"),
    "weights of float8": (lambda: odd_tensor(TensorProto.FLOAT8E5M2), "needs 108 and has 432"),
    "weights of type 999": (lambda: odd_tensor(999), "unknown element type 999"),
    "short weights": (short_weights, "needs 432 and has 429"),
    "segmented weights": (segmented, "segments"),
}
"""Those that need no process of their own: what makes them, and their sentence."""
