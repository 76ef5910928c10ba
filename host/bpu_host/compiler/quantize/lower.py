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
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.quantize.scales import STAND_IN
from bpu_host.compiler.quantize.writer import Writer
from bpu_host.compiler.rules import Placement

logger = logging.getLogger(__name__)

_SHOWN = 3
"""Tensors that a warning names; the others are counted."""


class ActivationThresholds(Protocol):
    """What is needed of a `calibrate.Calibration`."""

    @property
    def thresholds(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """The network and where every node really runs.

    Attributes:
        still: tensors that were zero in all samples; their threshold is `scales.STAND_IN`.
    """

    network: Network
    placement: Placement
    still: tuple[str, ...]

    def findings(self) -> tuple[Finding, ...]:
        """A warning about tensors that no sample gives a range."""
        if not self.still:
            return ()
        more = len(self.still) - _SHOWN
        return (
            Finding(
                f"tensor {', '.join(self.still[:_SHOWN])}" + (f" and {more} more" * (more > 0)),
                f"no sample left zero there: {STAND_IN:g} stands in for the largest value",
                "take samples in which it is not zero, or the nodes behind it off the model",
            ),
        )


def lower(
    placement: Placement,
    calibration: ActivationThresholds,
    name: str,
    *,
    all_codes: bool = False,
) -> Lowering:
    """The quantized network as typed operations, and the placement it came to.

    Args:
        placement: where each node is to run; image inputs are int8 with scale 1 (value - 128).
        calibration: thresholds of the activations, by float tensor name.
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
    return Lowering(writer.network(name), placement, tuple(writer.still))
