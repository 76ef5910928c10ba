"""What a board shows of itself: the frame (`frame`), and frames as lines of a file (`lines`)."""

from __future__ import annotations

from bpu_common.telemetry.frame import (
    LATENCY_WINDOW_NS,
    MAX_SLICES,
    TELEMETRY_PERIOD_NS,
    UTILISATION_WINDOW_NS,
    CallSlice,
    CoreSample,
    LatencySample,
    LogLine,
    ModelSample,
    QueueSample,
    SystemSample,
    TelemetryFrame,
)

__all__ = [
    "LATENCY_WINDOW_NS",
    "MAX_SLICES",
    "TELEMETRY_PERIOD_NS",
    "UTILISATION_WINDOW_NS",
    "CallSlice",
    "CoreSample",
    "LatencySample",
    "LogLine",
    "ModelSample",
    "QueueSample",
    "SystemSample",
    "TelemetryFrame",
]
