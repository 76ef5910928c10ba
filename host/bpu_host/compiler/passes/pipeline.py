"""The optimization pipeline: which passes run, in which order, and how they are checked."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.checker
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from bpu_common.errors import BpuError, CompilerBug, ModelUnsupported
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.add_biases import add_biases
from bpu_host.compiler.passes.context import Pass, PassContext, PassRecord
from bpu_host.compiler.passes.decompose import decompose
from bpu_host.compiler.passes.fold_affine import fold_affine
from bpu_host.compiler.passes.fold_batchnorm import fold_batchnorm
from bpu_host.compiler.passes.fold_bias_add import fold_bias_add
from bpu_host.compiler.passes.fold_constants import fold_constants
from bpu_host.compiler.passes.fold_pads import fold_pads
from bpu_host.compiler.passes.gemm_to_conv import gemm_to_conv
from bpu_host.compiler.passes.lower_preprocess import lower_preprocess
from bpu_host.compiler.passes.merge_transposes import merge_transposes
from bpu_host.compiler.passes.normalize_pools import normalize_pools
from bpu_host.compiler.passes.normalize_shapes import normalize_shapes
from bpu_host.compiler.passes.normalize_windows import normalize_windows
from bpu_host.compiler.passes.remove_empties import remove_empties
from bpu_host.compiler.passes.remove_identities import remove_identities
from bpu_host.compiler.passes.remove_unused import remove_unused
from bpu_host.compiler.passes.unflatten_softmax import unflatten_softmax
from bpu_host.compiler.weights import as_inputs, bare_proto

FIRST: tuple[Pass, ...] = (lower_preprocess, remove_unused)
REPEATED: tuple[Pass, ...] = (
    fold_constants,
    remove_empties,
    remove_identities,
    decompose,
    normalize_shapes,
    unflatten_softmax,
    normalize_windows,
    fold_pads,
    fold_batchnorm,
    fold_affine,
    normalize_pools,
    gemm_to_conv,
    fold_bias_add,
    merge_transposes,
    remove_unused,
)
LAST: tuple[Pass, ...] = (add_biases, remove_unused)
_MAX_ROUNDS = 50


def optimize(model: ir.Model) -> list[PassRecord]:
    """Bring the float model to the form that placement and quantization expect (in place).

    Afterwards: standard operators only, static shapes, 4-D activations NCHW, every convolution with
    a bias; numerically the same within float tolerance.

    Raises:
        ModelUnsupported: a shape depends on the data; names the node.
        CompilerBug: a pass broke the graph; names the pass.
    """
    records: list[PassRecord] = []
    context = PassContext()
    _forget_unknown(model.graph)
    _infer(model, "the float model")
    run_passes(model, FIRST, context, records)
    for _ in range(_MAX_ROUNDS):
        before = len(records)
        run_passes(model, REPEATED, context, records)
        if len(records) == before:
            break
    else:
        raise CompilerBug(f"the optimization does not come to rest after {_MAX_ROUNDS} rounds")
    run_passes(model, LAST, context, records)
    model.graph.sort()
    _require_static(model.graph)
    verify(model, "optimize")
    return records


def run_passes(
    model: ir.Model, passes: Sequence[Pass], context: PassContext, records: list[PassRecord]
) -> None:
    """Run each pass once; after each that changed something, infer shapes and verify."""
    for step in passes:
        name = step.__name__
        try:
            rewrites = step(model, context)
        except BpuError:
            raise
        except Exception as error:
            raise CompilerBug(f"pass {name} failed: {type(error).__name__}: {error}") from error
        if rewrites:
            verify_links(model.graph, name)
            _infer(model, f"pass {name}")
            records.append(PassRecord(name, rewrites, model.graph.num_nodes()))


def verify_links(graph: ir.Graph, name: str) -> None:
    """Names are unique, every value read is made before, every output exists.

    Raises:
        CompilerBug: says which pass left the graph broken.
    """
    known = {value.name for value in graph.inputs} | set(graph.initializers)
    nodes: set[str] = set()
    for node in graph:
        if not node.name or node.name in nodes:
            raise CompilerBug(f"{name} left a second node named '{node.name}'")
        nodes.add(node.name)
        for item in node.inputs:
            if item is not None and item.name not in known:
                raise CompilerBug(f"{name} left node '{node.name}' reading unmade '{item.name}'")
        for output in node.outputs:
            if output.name in known:
                raise CompilerBug(f"{name} left a second value named '{output.name}'")
            known.add(output.name)
    for output in graph.outputs:
        if output.name not in known:
            raise CompilerBug(f"{name} lost the graph output '{output.name}'")


def verify(model: ir.Model, name: str) -> None:
    """The links and ONNX's own checker.

    Raises:
        CompilerBug: says which stage left the graph broken.
    """
    verify_links(model.graph, name)
    try:
        onnx.checker.check_model(as_inputs(bare_proto(model)[0]))
    except (onnx.checker.ValidationError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise CompilerBug(f"{name} left an invalid model: {line}") from error


def _infer(model: ir.Model, name: str) -> None:
    try:
        ShapeInferencePass(check_type=True, strict_mode=True, data_prop=True)(model)
    except Exception as error:
        cause = error.__cause__ or error
        raise CompilerBug(f"shapes do not fit after {name}: {cause}") from error


def _forget_unknown(graph: ir.Graph) -> None:
    for node in graph:
        for value in node.outputs:
            if g.shape_of(value) is None:
                value.shape = None


def _require_static(graph: ir.Graph) -> None:
    for node in graph:
        for value in node.outputs:
            if value.name and g.shape_of(value) is None:
                raise ModelUnsupported(
                    f"the shape of its output '{value.name}' depends on the data",
                    where=f"node {node.name} ({node.op_type})",
                    hint="cut the model before this node with output_nodes",
                )
