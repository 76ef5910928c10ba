"""How much of a tensor this machine's cores keep near them: what strips and slices are cut for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")
FALLBACK_BYTES = 1 << 20
"""A second-level cache where the machine does not say its own (containers, other systems)."""
_LEAST_BYTES, _MOST_BYTES = 1 << 19, 1 << 24
"""Below the least, the rows at the seams cost more than the cache saves."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True, slots=True)
class CacheSizes:
    """Sizes that decide how large tensors are cut.

    Attributes:
        strip_bytes: what a tensor of a strip or slice may take; inner tensors of this size or more
            are worth strips. A quarter of the second-level cache is left for weights and sums.
        joined_bytes: what a tensor may take that is joined from slices: it is written and read
            once, so it may come from the cache behind.
    """

    strip_bytes: int
    joined_bytes: int


def sizes_for(level2_bytes: int) -> CacheSizes:
    """The sizes for a second-level cache."""
    strip = max(_LEAST_BYTES, min(level2_bytes, _MOST_BYTES)) * 3 // 4
    return CacheSizes(strip, 4 * strip)


@cache
def machine_sizes() -> CacheSizes:
    """The sizes for the machine this runs on."""
    return sizes_for(level2_bytes(FOLDER))


def level2_bytes(folder: Path) -> int:
    """Bytes of a core's second-level cache, as Linux tells it, or `FALLBACK_BYTES`."""
    for index in sorted(folder.glob("index*")):
        try:
            if (index / "level").read_text().strip() != "2":
                continue
            found = re.fullmatch(r"(\d+)([KM]?)", (index / "size").read_text().strip())
        except OSError:
            continue
        if found is not None and int(found[1]):
            return int(found[1]) * _UNITS[found[2]]
    return FALLBACK_BYTES
