"""Hostile inputs, each made by a generator in the formats of today, and what must answer them."""
