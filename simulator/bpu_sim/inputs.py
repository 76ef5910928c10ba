"""What a caller gives for an input, as the network sees it."""

from __future__ import annotations

import numpy as np

from bpu_common.frame import FrameInput
from bpu_common.image import network_input, resizer_codes
from bpu_common.tensor import AnyArray, InputSource, ModelInput
from bpu_sim import arith


def as_network_sees(given: FrameInput, item: ModelInput) -> AnyArray:
    """Pictures become int8 (1, H, W, C), value - 128; a featuremap stays as it is.

    A region of interest is scaled as the machine scales it while it loads (`arith.resize_roi`).

    Args:
        given: an array that fits the input; for the resizer a picture, nv12 in rows (flat if it has
            the input's own size), with the region.

    Raises:
        InputError: it does not fit.
    """
    if not item.input_type.is_image:
        return given.array
    if item.source is not InputSource.RESIZER or given.roi is None:
        return network_input(given.array, item)
    codes = resizer_codes(given.array, item)
    return arith.resize_roi(codes, given.roi, (item.height, item.width))[np.newaxis]
