"""Descriptors out of several pools, as gRPC's reflection asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

_T = TypeVar("_T")


class Pools:
    """Looks in each pool in turn. The methods are named and fail (KeyError) as those of a pool."""

    def __init__(self, *pools: DescriptorPool) -> None:
        self._pools = pools

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802
        return self._first(lambda pool: pool.FindFileByName(name))

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        return self._first(lambda pool: pool.FindFileContainingSymbol(symbol))

    def FindMessageTypeByName(self, name: str) -> Descriptor:  # noqa: N802
        return self._first(lambda pool: pool.FindMessageTypeByName(name))

    def FindExtensionByNumber(self, message: Any, number: int) -> FieldDescriptor:  # noqa: N802, ANN401
        return self._first(lambda pool: pool.FindExtensionByNumber(message, number))

    def FindAllExtensions(self, message: Any) -> list[FieldDescriptor]:  # noqa: N802, ANN401
        return [found for pool in self._pools for found in pool.FindAllExtensions(message)]

    def _first(self, look: Callable[[DescriptorPool], _T]) -> _T:
        missing = KeyError("in no pool")
        for pool in self._pools:
            try:
                return look(pool)
            except KeyError as error:
                missing = error
        raise missing
