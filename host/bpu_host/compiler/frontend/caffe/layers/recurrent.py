"""The LSTM of Caffe, written out step by step.

ONNX's LSTM has no sequence markers: Caffe's second blob says at each step whether the sequence goes
on (1) or begins anew (0), and is data.
"""

from __future__ import annotations

import math

from bpu_host.compiler.frontend.caffe.site import Site

MAX_STEPS = 256


def lstm(site: Site) -> None:
    """LSTM: x is T x N x ..., markers T x N; weights 4H x I, 4H, 4H x H; gates i, f, o, g."""
    param = site.spec.recurrent_param
    hidden = param.num_output
    if len(site.bottoms) != 2 or param.expose_hidden or hidden < 1:
        raise site.unsupported(
            "only the form with two blobs (data, sequence markers), num_output and no exposed "
            "state is available"
        )
    x, markers = site.ranked(site.bottoms[0], range(3, 9)), site.bottoms[1]
    steps, batch = x.shape[:2]
    if steps > MAX_STEPS:
        raise site.unsupported(f"has {steps} steps; at most {MAX_STEPS} are written out")
    if markers.shape != (steps, batch):
        raise site.unsupported(f"'{markers.name}' is {list(markers.shape)}, not {[steps, batch]}")
    depth = math.prod(x.shape[2:])
    gates = 4 * hidden
    rows = site.node("Reshape", x.name, site.ints("rows", (steps * batch, depth)))
    weights = site.constant("weight", site.blob(0, (gates, depth)))
    bias = site.constant("bias", site.blob(1, (gates,)))
    recurrence = site.constant("recurrence", site.blob(2, (gates, hidden)))
    given = site.node("Gemm", rows, weights, bias, transB=1)
    each = site.ints("steps", [batch] * steps)
    inputs = site.nodes("Split", given, each, count=steps, axis=0)
    turned = site.node("Reshape", markers.name, site.ints("column", (steps * batch, 1)))
    goes_on = site.nodes("Split", turned, each, count=steps, axis=0)
    made = _steps(site, inputs, goes_on, recurrence)
    shape = (steps, batch, hidden)
    together = made[0] if steps == 1 else site.node("Concat", *made, axis=0)
    site.end("Reshape", together, site.ints("shape", shape), shapes=[shape])


def _steps(site: Site, inputs: list[str], goes_on: list[str], recurrence: str) -> list[str]:
    """The hidden state after each step, N x H; both states are 0 before the first."""
    hidden = site.spec.recurrent_param.num_output
    quarters = site.ints("gates", [hidden] * 4)
    state, cell, made = "", "", []
    for gates, mark in zip(inputs, goes_on, strict=True):
        if state:
            kept = site.node("Mul", state, mark)
            gates = site.node("Gemm", kept, recurrence, gates, transB=1)
        i, f, o, g = site.nodes("Split", gates, quarters, count=4, axis=1)
        new = site.node("Mul", site.node("Sigmoid", i), site.node("Tanh", g))
        if cell:
            forget = site.node("Mul", site.node("Sigmoid", f), mark)
            new = site.node("Add", site.node("Mul", forget, cell), new)
        cell = new
        state = site.node("Mul", site.node("Sigmoid", o), site.node("Tanh", cell))
        made.append(state)
    return made
