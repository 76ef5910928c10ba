"""What is odd about calibration samples, noticed while they are read.

Thresholds are as good as the samples are like what the board will see. A handful of files, the same
file many times, pictures of one colour or of white alone still give thresholds, of no worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bpu_common.tensor import AnyArray
from bpu_host.compiler.findings import Finding

FEWEST_SAMPLES = 50
_FLAT_SPAN = 2
"""Greatest minus least value of a channel of one colour; JPEG moves it a little."""
_SATURATED_SHARE = 0.95
_ADVICE = "about 100 samples that are like what the board will see are advised"


@dataclass(frozen=True, slots=True)
class Watch:
    """The sample files of one input, each looked at once however often it is read.

    Attributes:
        digests: of the content, by position of the file.
        flat: positions of pictures of one colour.
        saturated: positions of pictures that are black or white almost everywhere.
        unit: positions of pictures with values of 0 to 1.
    """

    files: tuple[Path, ...]
    digests: dict[int, bytes] = field(default_factory=dict)
    flat: set[int] = field(default_factory=set)
    saturated: set[int] = field(default_factory=set)
    unit: set[int] = field(default_factory=set)

    def look(self, position: int, values: AnyArray, channel_axis: int | None) -> None:
        """Notice a sample as its file has it.

        Args:
            values: a batch of one; finite.
            channel_axis: the axis of a picture's channels; None: no picture, any values are fine.
        """
        if position in self.digests:
            return
        content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.digests[position] = hashlib.blake2b(content.data, digest_size=16).digest()
        if channel_axis is None:
            return
        if values.dtype != np.uint8 and 0 < values.max() <= 1:
            self.unit.add(position)
            return
        others = tuple(axis for axis in range(values.ndim) if axis != channel_axis)
        spans = values.max(axis=others).astype(np.float32) - values.min(axis=others)
        if spans.max() <= _FLAT_SPAN:
            self.flat.add(position)
        elif _saturated_share(values) >= _SATURATED_SHARE:
            self.saturated.add(position)

    def findings(self) -> tuple[Finding, ...]:
        """What is odd about the pictures of this input."""
        folder = str(self.files[0].parent)
        found: list[Finding] = []
        if self.unit:
            sentence = f"{self._share(self.unit)} hold values within 0..1 only"
            found.append(Finding(folder, sentence, "write pixels of 0..255; mean and scale follow"))
        if self.flat:
            sentence = f"{self._share(self.flat)} have a single colour"
            found.append(Finding(folder, sentence, _ADVICE))
        if self.saturated:
            sentence = f"{self._share(self.saturated)} are black or white almost everywhere"
            hint = "look at how they were made: pixels of 16 bits, or scaled twice?"
            found.append(Finding(folder, sentence, hint))
        return tuple(found)

    def _share(self, positions: Collection[int]) -> str:
        first = self.files[min(positions)].name
        return f"{len(positions)} of {len(self.files)} pictures ({first} first)"


def _saturated_share(values: AnyArray) -> float:
    ends = np.count_nonzero(np.less_equal(values, 0)) + np.count_nonzero(
        np.greater_equal(values, 255)
    )
    return ends / values.size


def sample_findings(watches: Sequence[Watch]) -> tuple[Finding, ...]:
    """What is odd about a set whose i-th sample is the i-th file of each input."""
    folder, files = str(watches[0].files[0].parent), watches[0].files
    first_of: dict[tuple[bytes | None, ...], int] = {}
    copies: list[tuple[int, int]] = []
    for position in sorted(watches[0].digests):
        content = tuple(watch.digests.get(position) for watch in watches)
        first = first_of.setdefault(content, position)
        if first != position:
            copies.append((position, first))
    found: list[Finding] = []
    if len(first_of) < FEWEST_SAMPLES:
        count = f"{len(first_of)} different sample{'s' if len(first_of) != 1 else ''}"
        sentence = f"{count}; thresholds of fewer than {FEWEST_SAMPLES} are a matter of luck"
        found.append(Finding(folder, sentence, _ADVICE))
    if copies:
        copy, source = (files[position].name for position in copies[0])
        verb = "is a copy" if len(copies) == 1 else "are copies"
        sentence = f"{len(copies)} of {len(files)} samples {verb} ({copy} is {source})"
        found.append(Finding(folder, sentence, _ADVICE))
    return (*found, *(finding for watch in watches for finding in watch.findings()))
