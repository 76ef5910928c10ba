"""Predicted against published latency, with one set of constants for all networks."""
