"""The worker process: opens sessions and runs them within limits, until its parent is gone.

It reads graphs out of files, so it may crash; it is never trusted. Its answers are a sentence or
nothing, and arrays of the sizes that the parent knows.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import socket
import threading
from pathlib import Path

import numpy as np

from bpu_common.errors import BpuError, ModelFormatError
from bpu_common.tensor import AnyArray
from bpu_sim.engines.contained import layout
from bpu_sim.engines.contained.layout import Description, Kind
from bpu_sim.engines.onnx.session import Session

_MAX_FILES = 1024
"""A mapped region keeps a descriptor; there is nothing else that it may open."""
_MAX_TEXT = 800


def main(descriptor: int, memory: int) -> None:
    """Serve the socket until its other end is closed.

    Args:
        descriptor: of a SOCK_SEQPACKET socket. Standard input ends when the parent does.
        memory: descriptor of the shared memory.
    """
    threading.Thread(target=_follow_parent, daemon=True).start()
    for what, limit in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
    ):
        resource.setrlimit(what, (limit, limit))
    server = _Server(memory)
    with socket.socket(fileno=descriptor) as parent:
        while data := parent.recv(layout.MESSAGE.size):
            try:
                server.serve(data)
                answer: dict[str, str] = {}
            except BpuError as error:
                parts = {"message": error.message, "where": error.where, "hint": error.hint}
                answer = {key: text[:_MAX_TEXT] for key, text in parts.items()}
                answer["code"] = error.code
            parent.send(json.dumps(answer).encode())


def _follow_parent() -> None:
    os.read(0, 1)
    os._exit(0)


class _Server:
    """The sessions of this process by number."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._base_bytes = _address_space_bytes()
        self._own_bytes = 0
        self._sessions: dict[int, _Opened] = {}

    def serve(self, message: bytes) -> None:
        """Open a session or run it.

        Raises:
            BpuError: it cannot be done.
        """
        kind, number, head_bytes, size_bytes, start = layout.MESSAGE.unpack(message)
        if kind != Kind.OPEN:
            self._sessions[number].run()
            return
        region = mmap.mmap(self._memory, size_bytes, offset=start)
        description = layout.decoded(region[:head_bytes])
        copies = 2 * sum(item.size_bytes for item in description.constants)
        self._own_bytes += size_bytes + copies
        _limit_memory(self._base_bytes + self._own_bytes + description.memory_bytes)
        self._sessions[number] = _Opened(region, head_bytes, description)


class _Opened:
    """One session and its region."""

    def __init__(self, region: mmap.mmap, head_bytes: int, description: Description) -> None:
        graph = region[head_bytes : head_bytes + description.graph_bytes]
        starts, _ = layout.places(head_bytes, description)
        arrays = [
            layout.view(region, item, at)
            for item, at in zip(description.items, starts, strict=True)
        ]
        first = len(description.constants)
        last = first + len(description.inputs)
        self._description = description
        self._inputs = _named(description.inputs, arrays[first:last])
        self._outputs = _named(description.outputs, arrays[last:])
        self._limit_time()
        self._session = Session(
            graph,
            description.name,
            list(self._outputs),
            _named(description.constants, arrays[:first]),
            description.threads,
            description.disabled,
        )

    def run(self) -> None:
        """One run: from the inputs to the outputs in the shared memory.

        Raises:
            DeviceFault: onnxruntime failed.
            ModelFormatError: it made something else than was declared.
            CapacityError: it needs more memory than it may have.
        """
        self._limit_time()
        for name, array in self._session.run(self._inputs).items():
            wanted = self._outputs[name]
            if array.shape != wanted.shape or array.dtype != wanted.dtype:
                raise ModelFormatError(
                    f"tensor {name!r} came out as {array.dtype} {array.shape}, the model says "
                    f"{wanted.dtype} {wanted.shape}",
                    where=self._description.name,
                    hint="convert the model again with this version",
                )
            np.copyto(wanted, array)

    def _limit_time(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        end_s = int(used.ru_utime + used.ru_stime) + 1 + self._description.run_cpu_s
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (end_s, hard))


def _named(items: layout.Items, arrays: list[AnyArray]) -> dict[str, AnyArray]:
    return dict(zip((item.name for item in items), arrays, strict=True))


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def _limit_memory(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
