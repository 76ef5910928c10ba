"""Compile parameters have the effect they promise: in which direction, not how much."""
