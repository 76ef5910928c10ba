"""Published X3M measurements of networks that can be rebuilt (BPU at 1 GHz, 224x224 unless said).

BPU latency is one frame alone, submission and interrupt included; FPS is with the queue kept full
on both cores. Sources: the model tables of the vendor's documentation of 2023 (A rows) and the
RDK model zoo of September 2024 (C row); repeatability across sources is 2 to 7 %.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the tables.

    Attributes:
        network: key of `benchmarks.networks.NETWORKS`.
        bpu_ms: latency of the BPU part of one frame.
        fps_max: frames per second, several threads, both cores.
    """

    row: str
    network: str
    bpu_ms: float
    fps_max: float


ACCEPTED = (
    Published("A08", "efficientnet_lite0", 2.154, 954.034),
    Published("A01", "mobilenet_v1", 3.301, 655.763),
    Published("A02", "mobilenet_v2", 2.387, 886.326),
    Published("A03", "resnet18", 8.671, 232.853),
)
"""The rows that must lie within the mark."""

FURTHER = (
    Published("A09", "efficientnet_lite1", 3.076, 664.577),  # 240x240
    Published("A11", "efficientnet_lite3", 8.451, 239.517),  # 280x280
    Published("A12", "efficientnet_lite4", 14.583, 138.371),  # 300x300
    # Published as a whole frame, 11.58 ms; 81 us of it are dequantize and softmax.
    Published("C07", "repvgg_a1", 11.58 - 0.081, 174.94),
)
"""Rows that are shown with `--all`, to judge the constants."""
