"""Measurements on the board: counters, percentiles, per-node profiles, telemetry frames."""
