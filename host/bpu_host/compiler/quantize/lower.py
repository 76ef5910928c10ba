"""From the placed units and the thresholds to the quantized network.

Order of work: give every tensor a scale, write the operations in the order of the float nodes with
quantize and dequantize where a tensor changes sides. A unit whose numbers do not fit the chip
(scale ratio, bias, accumulator) goes to the CPU with the reason, its neighbours are asked again,
and all is written anew: scales are shared between units, so one that leaves may change the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bpu_common.network import Network
from bpu_host.compiler.events import Note, OnEvent, ignore
from bpu_host.compiler.quantize.writer import Writer
from bpu_host.compiler.rules import Placement

logger = logging.getLogger(__name__)


class ActivationThresholds(Protocol):
    """What is needed of a `calibrate.Calibration`."""

    @property
    def thresholds(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """The network and where every node really runs."""

    network: Network
    placement: Placement


def lower(
    placement: Placement,
    calibration: ActivationThresholds,
    name: str,
    on_event: OnEvent = ignore,
    *,
    all_codes: bool = False,
) -> Lowering:
    """The quantized network as typed operations, and the placement it came to.

    Args:
        placement: where each node is to run; image inputs are int8 with scale 1 (value - 128).
        calibration: thresholds of the activations, by float tensor name.
        on_event: hears of tensors that no sample gives a range.
        all_codes: tensors inside the BPU that are never negative have 256 codes for their range.

    Raises:
        ModelUnsupported: an image input that a CPU operator reads in NHWC form.
        CompilerBug: a graph the earlier stages must not produce.
    """
    symmetric = frozenset[str]()
    while True:
        writer = Writer(placement, calibration.thresholds, all_codes=all_codes, symmetric=symmetric)
        writer.run()
        if not writer.refused and not writer.coarse:
            break
        for node, reason in writer.refused.items():
            logger.info("%s goes to the CPU: %s", node, reason)
        placement = placement.without(writer.refused)
        symmetric |= writer.coarse
    for tensor, value in writer.unusual.items():
        sentence = f"got unexpected threshold on tensor {tensor}: no sample left zero there"
        on_event(Note(f"{sentence}; {value} is used", warning=True))
    return Lowering(writer.network(name), placement)
