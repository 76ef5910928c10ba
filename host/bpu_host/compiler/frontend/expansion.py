"""How large a model becomes when its own functions are written out, counted before that is done.

Thirty functions that each call the next one twice are two kilobytes and a thousand million nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import onnx

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_host.compiler.frontend.structure import MAX_NODES
from bpu_host.compiler.protos import bodies

MAX_GROWTH_BYTES = 256 << 20
"""What functions may add to a model: one with a large constant may be called often."""

MAX_DEPTH = 64
"""Functions that call one another; exporters nest a few."""

_Key: TypeAlias = tuple[str, str, str]
_Functions: TypeAlias = Mapping[_Key, onnx.FunctionProto]


def check_expansion(model: onnx.ModelProto, file: str) -> None:
    """Refuse functions that do not end or become too much.

    Raises:
        ModelFormatError: a function calls itself, or the nesting is too deep.
        ModelUnsupported: too many nodes or bytes when all is written out.
    """
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    if not functions:
        return
    count = _Count(functions, file)
    nodes, size_bytes = count.of(model.graph.node, ())
    if nodes > MAX_NODES or size_bytes > model.ByteSize() + MAX_GROWTH_BYTES:
        raise ModelUnsupported(
            f"with its functions written out the model has {nodes} nodes and {size_bytes} bytes; "
            f"at most {MAX_NODES} nodes are converted, and {MAX_GROWTH_BYTES} bytes more than the "
            "file has",
            where=file,
            hint="export the model with fewer functions",
        )


class _Count:
    """Nodes and bytes of each function, counted once."""

    def __init__(self, functions: _Functions, file: str) -> None:
        self._functions = functions
        self._file = file
        self._known: dict[_Key, tuple[int, int]] = {}

    def of(self, nodes: Iterable[onnx.NodeProto], path: tuple[_Key, ...]) -> tuple[int, int]:
        """Nodes and bytes of these nodes; `path` are the functions that they stand in."""
        count = size_bytes = 0
        for outer in nodes:
            size_bytes += outer.ByteSize()
            for node in (outer, *(inner for body in bodies(outer) for inner in body.node)):
                key = (node.domain, node.op_type, node.overload)
                added = self._of_function(key, path) if key in self._functions else (1, 0)
                count += added[0]
                size_bytes += added[1]
        return count, size_bytes

    def _of_function(self, key: _Key, path: tuple[_Key, ...]) -> tuple[int, int]:
        if key in self._known:
            return self._known[key]
        if key in path or len(path) == MAX_DEPTH:
            reason = "calls itself" if key in path else f"is nested more than {MAX_DEPTH} deep"
            raise ModelFormatError(
                f"function '{key[1]}' {reason}",
                where=self._file,
                hint="export the model again",
            )
        self._known[key] = self.of(self._functions[key].node, (*path, key))
        return self._known[key]
