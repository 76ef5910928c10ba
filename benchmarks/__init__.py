"""Measurements behind every figure that is claimed; each against a peer in the same run."""
