"""Recurrent operators with the batch first: ONNX's own evaluator is the oracle.

onnxruntime computes none of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from bpu_host.compiler.frontend import prepare
from tests.support.convert_net import convert
from tests.support.graphs_typed import Graph, node
from tests.support.nets_front import run

FLOAT = TensorProto.FLOAT
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(op_type: str, *, states: bool) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    g = Graph()
    g.constant("rows", np.array([4, 25, 4]))
    g.constant("w", g.normal(1, 6 * GATES[op_type], 4))
    g.constant("v", g.normal(1, 6 * GATES[op_type], 6))
    inputs, outputs = "q w v", "o h"
    if states:
        g.constant("start", g.normal(4, 1, 6))
        inputs += " - - start start" if op_type == "LSTM" else " - - start"
        outputs += " c" if op_type == "LSTM" else ""
    made = node(op_type, inputs, outputs, name="made", hidden_size=6, layout=1)
    nodes = [g.first, node("Reshape", "a rows", "q"), made]
    return g.model(nodes, dict.fromkeys(outputs.split(), FLOAT)), g.sample


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("op_type", GATES)
def test_the_batch_first(op_type: str, states: bool) -> None:
    model, sample = recurrent(op_type, states=states)
    prepared = prepare(model, "net.onnx", {})
    assert next(each.op_type for each in prepared.graph if each.name == "made") == op_type
    wanted = ReferenceEvaluator(model).run(None, dict(sample))
    for real, made in zip(wanted, run(ir.to_proto(prepared), sample), strict=True):
        np.testing.assert_allclose(made, real, rtol=1e-4, atol=1e-5)


def test_it_converts_with_a_warning(tmp_path: Path) -> None:
    """The file cannot be run as it is, so nothing was held against it."""
    model, sample = recurrent("GRU", states=True)
    reference = prepare(model, "net.onnx", {})
    done = convert(tmp_path, model, samples=[sample], reference=ir.to_proto(reference))
    assert "the model file" in [each.subject for each in done.compiled.findings]
    assert done.sqnr_db() > 20
