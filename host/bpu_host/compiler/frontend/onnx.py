"""ONNX files -> `onnx_ir` models at opset 19 with static input shapes.

`read_onnx` reads and checks the files, `prepare` brings the model to the form the passes work on.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx.checker
import onnx.inliner
import onnx.shape_inference
import onnx.version_converter
import onnx_ir as ir
from google.protobuf.message import DecodeError

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_host.compiler.config.values import GraphInput
from bpu_host.compiler.frontend.checks import check_graph
from bpu_host.compiler.frontend.external import load_external_data
from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.opset import to_target_opset
from bpu_host.compiler.frontend.pools import resolve_ceil_mode
from bpu_host.compiler.frontend.transposed import resolve_transposed_pads

MIN_OPSET = 7
MAX_BYTES = (1 << 31) - 1
MAX_NODES = 50_000
_ONNX_DOMAINS = ("", "ai.onnx")

Shape = tuple[int, ...]


def read_onnx(path: Path) -> FloatModel:
    """Read a model file with its external data.

    Raises:
        ModelFormatError: not an ONNX model, damaged, or data outside its folder.
        ModelUnsupported: something in it cannot be converted; the message names the node.
    """
    with _damage(path.name):
        return _read(path)


@contextmanager
def _damage(file: str) -> Iterator[None]:
    """What the libraries raise on nonsense becomes one error of ours."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError,
            MemoryError) as error:  # fmt: skip
        raise ModelFormatError(
            f"the model cannot be read: {type(error).__name__}: {_first_line(error)}",
            where=file,
            hint="the file may be damaged; download or export it again",
        ) from error


def _read(path: Path) -> FloatModel:
    data = _read_bytes(path)
    model = _parse(data, path)
    contents = load_external_data(model, path, MAX_BYTES)
    _check_structure(model, path.name)
    _drop_constant_inputs(model.graph)
    whole = hashlib.sha256(data)
    files = {path.name: whole.hexdigest()}
    for name, content in contents.items():
        whole.update(content)
        files[name] = hashlib.sha256(content).hexdigest()
    return FloatModel(path.name, model, _graph_inputs(model.graph), files, whole.hexdigest())


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        size = status.st_size
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise ModelFormatError(  # reading a pipe would wait for a writer
                "the model is no regular file", where=str(path), hint="give an .onnx file"
            )
        if size > MAX_BYTES:
            raise ModelFormatError("ONNX files end at 2 GiB", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise ModelFormatError(
            f"cannot read the model: {error.strerror}", where=str(path), hint="check the path"
        ) from error


def _parse(data: bytes, path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelFormatError(
            "not an ONNX model, or damaged",
            where=str(path),
            hint="download or export it again; Caffe and .bin files are no ONNX models",
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        missing = "graph" if not model.HasField("graph") else "opset version"
        raise ModelFormatError(f"not an ONNX model: it holds no {missing}", where=str(path))
    return model


def _graph_inputs(graph: onnx.GraphProto) -> tuple[GraphInput, ...]:
    """Names and declared shapes of the inputs; an unknown size is its symbol or None."""
    found = []
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in dims
        )
        found.append((value.name, shape))
    return tuple(found)


def prepare(
    model: onnx.ModelProto,
    file: str,
    shapes: Mapping[str, Shape],
    output_nodes: Sequence[str] = (),
) -> ir.Model:
    """Fix input shapes, name nodes, convert to the target opset, infer shapes.

    Args:
        model: stays as it is.
        file: its name, for messages.
        shapes: override the input shapes of the model, by name.

    Raises:
        ModelUnsupported: names the input or node.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    with _damage(file):
        return _prepare(proto, file, shapes, output_nodes)


def _prepare(
    model: onnx.ModelProto, file: str, shapes: Mapping[str, Shape], output_nodes: Sequence[str]
) -> ir.Model:
    _fix_inputs(model.graph, file, shapes)
    _name_nodes(model.graph)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
        _name_nodes(model.graph)
    if output_nodes:
        _choose_outputs(model, file, output_nodes)
    model.ir_version = max(model.ir_version, 4)
    _fill_empty_roi(model.graph)
    _forget_shapes(model.graph)
    _check_by_onnx(model, file)
    resolve_ceil_mode(model)
    resolve_transposed_pads(model)
    model = to_target_opset(model, file)
    _name_nodes(model.graph)
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise ModelUnsupported(
            f"the shapes do not fit: {_first_line(error)}",
            where=file,
            hint="check input_shape (checker: --input-shape) against the model",
        ) from error
    _drop_unread_constants(model.graph)
    model.ir_version = 10
    prepared = ir.from_proto(model)
    check_graph(prepared.graph, file)
    if not prepared.graph.name:
        prepared.graph.name = "main_graph"
    return prepared


def _check_structure(model: onnx.ModelProto, file: str) -> None:
    graph = model.graph
    if not graph.node or not graph.output:
        raise ModelFormatError("the graph has no nodes or no outputs", where=file)
    if len(graph.node) > MAX_NODES:
        raise ModelUnsupported(
            f"{len(graph.node)} nodes; at most {MAX_NODES} are converted", where=file
        )
    versions = {item.domain: item.version for item in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version < MIN_OPSET or version > onnx.defs.onnx_opset_version():
        raise ModelUnsupported(
            f"opset {version} of the ONNX operators; {MIN_OPSET} to "
            f"{onnx.defs.onnx_opset_version()} can be read",
            where=file,
            hint="export the model with opset 11 to 19",
        )
    known = {(item.domain, item.name) for item in model.functions}
    foreign = [
        f"{node.name or node.output[0]} ({node.domain}::{node.op_type})"
        for node in graph.node
        if node.domain not in _ONNX_DOMAINS and (node.domain, node.op_type) not in known
    ]
    if foreign:
        raise ModelUnsupported(
            "nodes outside the ONNX operator set: " + ", ".join(foreign[:5]),
            where=file,
            hint="custom operators are not available yet; export with standard operators",
        )
    for tensor in graph.sparse_initializer:
        raise ModelUnsupported(f"sparse initializer '{tensor.values.name}'", where=file)
    if graph.input and all(
        item.name in {tensor.name for tensor in graph.initializer} for item in graph.input
    ):
        raise ModelUnsupported("the model has no inputs", where=file)


def _drop_constant_inputs(graph: onnx.GraphProto) -> None:
    """Older exporters list weights as inputs; inputs that no node reads are dropped as well."""
    constants = {tensor.name for tensor in graph.initializer}
    read = {name for node in graph.node for name in node.input}
    read |= {item.name for item in graph.output}
    read |= {
        name
        for node in graph.node
        for attribute in node.attribute
        if attribute.HasField("g")
        for inner in attribute.g.node
        for name in inner.input
    }
    kept = [item for item in graph.input if item.name not in constants and item.name in read]
    del graph.input[:]
    graph.input.extend(kept)


def _drop_unread_constants(graph: onnx.GraphProto) -> None:
    """Left-overs of training, such as `num_batches_tracked`."""
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # a sub-graph may read them
    read = {name for node in graph.node for name in node.input}
    read |= {item.name for item in graph.output}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _fix_inputs(graph: onnx.GraphProto, file: str, shapes: Mapping[str, Shape]) -> None:
    names = [item.name for item in graph.input]
    for name in shapes:
        if name not in names:
            raise ModelUnsupported(
                f"the model has no input '{name}'; its inputs are {', '.join(names)}", where=file
            )
    for value in graph.input:
        if not value.type.HasField("tensor_type"):
            raise ModelUnsupported(f"input '{value.name}' is not a tensor", where=file)
        shape = value.type.tensor_type.shape
        wanted = shapes.get(value.name)
        if wanted is None:
            wanted = tuple(dim.dim_value for dim in shape.dim)
            if wanted and wanted[0] == 0:
                wanted = (1, *wanted[1:])
            if not wanted or 0 in wanted:
                raise ModelUnsupported(
                    f"input '{value.name}' has a dynamic shape",
                    where=file,
                    hint=f"give one with --input-shape {value.name} 1x3x224x224 "
                    "(input_shape in the YAML)",
                )
        elif shape.dim and len(shape.dim) != len(wanted):
            raise ModelUnsupported(
                f"input '{value.name}' has {len(shape.dim)} dimensions, "
                f"the given shape has {len(wanted)}",
                where=file,
            )
        if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
            raise ModelUnsupported(
                f"input '{value.name}' is {kind}; inputs must be float (32 bit)", where=file
            )
        del shape.dim[:]
        for size in wanted:
            shape.dim.add().dim_value = size


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name, `<OpType>_<index>` where it has none."""
    seen: set[str] = set()
    taken = {node.name for node in graph.node}
    for index, node in enumerate(graph.node):
        name = node.name
        if not name or name in seen:
            base = name or f"{node.op_type}_{index}"
            name, count = base, 1
            while name in seen or (name != node.name and name in taken):
                name, count = f"{base}_{count}", count + 1
        seen.add(name)
        node.name = name


def _choose_outputs(model: onnx.ModelProto, file: str, output_nodes: Sequence[str]) -> None:
    graph = model.graph
    nodes = {node.name: node for node in graph.node}
    chosen: list[str] = []
    for name in output_nodes:
        if name not in nodes:
            raise ModelUnsupported(
                f"output_nodes names '{name}', which is no node of the model", where=file
            )
        chosen += [output for output in nodes[name].output if output]
    needed, keep = set(chosen), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            keep.append(node)
            needed |= set(node.input)
    keep.reverse()
    nodes_kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in keep]
    del graph.node[:]
    graph.node.extend(nodes_kept)
    del graph.output[:]
    for name in dict.fromkeys(chosen):
        graph.output.add().CopyFrom(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    _drop_constant_inputs(graph)


def _fill_empty_roi(graph: onnx.GraphProto) -> None:
    """Resize of opset 11 demands a roi; exporters leave it out because nothing reads it."""
    name = "empty_roi_of_resize"
    used = False
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) > 2 and not node.input[1]:
            node.input[1] = name
            used = True
    if used:
        graph.initializer.append(
            onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[0])
        )


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """Stored shapes may belong to another input size: infer them again."""
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _check_by_onnx(model: onnx.ModelProto, file: str) -> None:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for value in probe.graph.output:  # the checker wants shapes; they come with inference
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(probe)
    except onnx.checker.ValidationError as error:
        text = str(error)
        node = re.search(r"node.*?[Nn]ame: (\S+) OpType: (\S+)", text, re.DOTALL)
        place = f"{file}: node {node[1]} ({node[2]})" if node else file
        unknown = re.search(r"No Op registered for (\S+)", text)
        if unknown:
            raise ModelUnsupported(
                f"Unsupported op: {unknown[1]} is no operator of the model's opset", where=place
            ) from error
        unmade = re.search(r"topologically sorted, however input '(.*)' of node", text)
        if unmade:
            raise ModelFormatError(
                f"no node before it makes its input '{unmade[1]}': the graph lacks a node or runs "
                "in a circle",
                where=place,
                hint="export the model again",
            ) from error
        raise ModelFormatError(f"the ONNX checker says: {_first_line(error)}", where=place) from (
            error
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
