"""What host and board agree on: values, the model container, errors, the wire."""

__version__ = "0.1.0"
"""Version of OpenBPU, on the host and on the board; pyproject.toml says the same."""
