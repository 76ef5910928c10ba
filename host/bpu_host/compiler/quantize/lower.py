"""From the optimized float graph, verdicts and thresholds to the quantized network.

Order of work: recognise units, give every tensor a scale, write the operations in the order of the
float nodes with quantize and dequantize where a tensor changes sides. A unit whose numbers do not
fit the chip (scale ratio, bias, accumulator) goes to the CPU with the reason, and all starts again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from bpu_common.network import Network
from bpu_common.tensor import ModelInput
from bpu_host.compiler.events import Note, OnEvent, ignore
from bpu_host.compiler.quantize.recognise import Placement, recognise
from bpu_host.compiler.quantize.writer import Writer

logger = logging.getLogger(__name__)


class ActivationThresholds(Protocol):
    """What is needed of a `calibrate.Calibration`."""

    @property
    def thresholds(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class _Moved:
    """Verdict of a node that could not stay on the BPU."""

    reason: str
    on: str = "CPU"


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """The network and the final verdict of every node, by name."""

    network: Network
    verdicts: Mapping[str, Placement]


def lower(
    model: ir.Model,
    verdicts: Mapping[str, Placement],
    calibration: ActivationThresholds,
    inputs: tuple[ModelInput, ...],
    name: str,
    on_event: OnEvent = ignore,
) -> Lowering:
    """The quantized network as typed operations, and where every node really runs.

    Args:
        model: the optimized float graph.
        verdicts: where each node runs, by node name.
        calibration: thresholds of the activations, by float tensor name.
        inputs: the model's inputs; image inputs are int8 with scale 1 (value - 128).
        on_event: hears of tensors that no sample gives a range.

    Raises:
        ModelUnsupported: an image input that a CPU operator reads in NHWC form.
        CompilerBug: a graph the earlier stages must not produce.
    """
    placed: dict[str, Placement] = dict(verdicts)
    while True:
        plan = recognise(model, placed, inputs)
        for node, reason in plan.refused.items():
            placed[node] = _Moved(reason)
        writer = Writer(model, plan, placed, calibration.thresholds, inputs)
        writer.run()
        if not writer.refused:
            break
        for node, reason in writer.refused.items():
            logger.info("%s goes to the CPU: %s", node, reason)
            placed[node] = _Moved(reason)
    for tensor, value in writer.unusual.items():
        sentence = f"got unexpected threshold on tensor {tensor}: no sample left zero there"
        on_event(Note(f"{sentence}; {value} is used", warning=True))
    return Lowering(writer.network(name), placed)
