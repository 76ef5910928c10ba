"""What host and board agree on: values, the model container, errors, the wire."""

from __future__ import annotations

import os

__version__ = "0.1.0"
"""Version of OpenBPU, on the host and on the board; pyproject.toml says the same."""

# Newer onnxruntime reports its use to its maker and keeps a database in the user's cache folder,
# unless it is told not to before it is imported. A tool has to be asked for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
