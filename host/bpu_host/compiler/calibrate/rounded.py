"""The choice between weights rounded together and weights rounded each to its nearest code."""

from __future__ import annotations

import logging
import math

import numpy as np

from bpu_common.errors import CapacityError, DeviceFault, ModelFormatError, ModelUnsupported
from bpu_common.network import Network
from bpu_common.words import counted
from bpu_host.compiler.calibrate.collect import spread
from bpu_host.compiler.calibrate.ranking import Kept, network_errors, network_feeds
from bpu_host.compiler.calibrate.samples import SampleSet
from bpu_host.compiler.events import Note, OnEvent, ignore
from bpu_host.compiler.quantize import refine
from bpu_host.compiler.rules import Placement

logger = logging.getLogger(__name__)

_CANNOT_RUN = (ModelFormatError, ModelUnsupported, CapacityError, DeviceFault)
"""Networks that no engine runs are left as they are: the check of the file names the node."""
REFINING_SAMPLES = 32
"""Samples on which the inputs of convolutions are looked at."""


def with_rounded_weights(
    network: Network,
    placement: Placement,
    samples: SampleSet,
    kept: Kept,
    on_event: OnEvent = ignore,
    error: float | None = None,
) -> Network:
    """The network with its weights rounded together (`refine`) where its outputs gain by it.

    The inputs of its convolutions are looked at on up to 32 samples, the outputs' errors are judged
    on those in `kept`: on others, if there are more than those.

    Args:
        placement: what the network was lowered from.
        kept: the samples to judge by, as `collect` has chosen them.
        on_event: hears what was gained.
        error: the mean error of the network's outputs on `kept`, if it is known.
    """
    if not kept:
        return network
    chosen = _chosen(len(samples), len(kept))
    inputs = (network_feeds(network.inputs, samples[position]) for position in chosen)
    try:
        refined = refine(network, placement, inputs, len(chosen))
        before = _error(network, kept) if error is None else error
        after = _error(refined, kept)
    except _CANNOT_RUN as fault:
        logger.debug("weights are rounded to nearest: %s", fault)
        return network
    number = f"on {counted(len(kept), 'sample')}"
    if not after < before:
        sentence = "Weights are rounded to nearest: rounded together they gain nothing"
        on_event(Note(f"{sentence} (error of the outputs {after:.3g}, {before:.3g} {number})."))
        return network
    gain = f", {10 * math.log10(before / after):.1f} dB less" if after else ""
    on_event(
        Note(
            f"Weights are rounded together: error of the outputs {after:.3g} instead of "
            f"{before:.3g}{gain} ({number})."
        )
    )
    return refined


def _error(network: Network, kept: Kept) -> float:
    return float(np.mean(list(network_errors(network, kept).values())))


def _chosen(total: int, judging: int) -> list[int]:
    """Positions of the samples to look at: not those that are judged by, if there are others."""
    kept = spread(total, judging)
    others = [position for position in range(total) if position not in kept] or list(range(total))
    some = spread(len(others), min(REFINING_SAMPLES, len(others)))
    return [others[index] for index in sorted(some)]
