"""Implementations of the device seam."""
