"""A bound on what the models of a file describe together, however often they share a section."""

from __future__ import annotations

from bpu_common.errors import ModelFormatError
from bpu_common.manifest import SectionKind

MAX_DESCRIPTION_BYTES = 32 << 20
"""Programs and networks of all models of a file, each time one is referred to. Checking takes about
half a second a mebibyte, so this bounds how long a file occupies its reader."""

_DESCRIPTIONS = (SectionKind.PROGRAM, SectionKind.NETWORK)


class DescriptionBudget:
    """What is left of it for the models of one file."""

    def __init__(self) -> None:
        self._left_bytes = MAX_DESCRIPTION_BYTES

    def take(self, kind: SectionKind, size_bytes: int) -> None:
        """A model refers to a section.

        Raises:
            ModelFormatError: too much.
        """
        if kind not in _DESCRIPTIONS:
            return
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise ModelFormatError(
                "the programs and networks of its models have more than "
                f"{MAX_DESCRIPTION_BYTES} bytes together, each time counted that a model refers "
                "to one",
                hint="put fewer models into one file",
            )
