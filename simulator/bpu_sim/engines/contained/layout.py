"""A graph's region of the memory that parent and worker share, and the messages between them."""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from bpu_common.tensor import AnyArray, align_up

ALIGN_BYTES = 64
MESSAGE = struct.Struct("<BQQQQ")
"""Kind, number of the session, bytes of its description, size and start of its region (bytes)."""
MAX_ANSWER_BYTES = 1 << 15


class Kind(IntEnum):
    """What the parent asks."""

    OPEN = 1
    RUN = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One array in the shared memory: C-contiguous at a multiple of 64 bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Items: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What a session is made of; the arrays lie behind the graph, group by group.

    Attributes:
        constants: initializers whose data is not in the graph.
        run_cpu_s: CPU time of one run, all threads together.
        memory_bytes: address space for the worker beside what it begins with, the regions of its
            sessions and two copies of their constants.
    """

    name: str
    graph_bytes: int
    constants: Items
    inputs: Items
    outputs: Items
    threads: int
    disabled: tuple[str, ...]
    run_cpu_s: int
    memory_bytes: int

    def encoded(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @property
    def items(self) -> Items:
        return (*self.constants, *self.inputs, *self.outputs)


def decoded(data: bytes) -> Description:
    """What `Description.encoded` wrote."""
    fields = json.loads(data)
    for group in ("constants", "inputs", "outputs"):
        fields[group] = tuple(
            Item(each["name"], each["dtype"], tuple(each["shape"])) for each in fields[group]
        )
    return Description(**{**fields, "disabled": tuple(fields["disabled"])})


def places(head_bytes: int, description: Description) -> tuple[list[int], int]:
    """Where in its region each array of `items` begins, and the size of the region.

    Args:
        head_bytes: of the encoded description, which lies in front of the graph.
    """
    found, at = [], align_up(head_bytes + description.graph_bytes, ALIGN_BYTES)
    for item in description.items:
        found.append(at)
        at = align_up(at + item.size_bytes, ALIGN_BYTES)
    return found, max(at, 1)


def view(memory: mmap.mmap, item: Item, at: int) -> AnyArray:
    """The array, sharing the memory."""
    return np.ndarray(item.shape, np.dtype(item.dtype), memory, at)


def items_of(arrays: Mapping[str, AnyArray]) -> Items:
    """Arrays by name as items."""
    return tuple(Item(name, array.dtype.name, array.shape) for name, array in arrays.items())
