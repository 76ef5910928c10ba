"""What runs a quantized network: the interface of every engine, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from bpu_common.errors import DeviceFault, InputError
from bpu_common.network import CustomOp, Network, Part, tensors_made
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray, TensorSpec

Arrays: TypeAlias = dict[str, AnyArray]

CustomFunction: TypeAlias = Callable[[Sequence[AnyArray]], Sequence[AnyArray]]
"""A custom operator at work: the arrays of `xs` to those of `ys`, in order; any thread calls it."""
CustomLoader: TypeAlias = Callable[[CustomOp], CustomFunction]
"""Finds what computes a custom operator, once, when an engine is made."""


class Engine(Protocol):
    """Runs a network; may be shared by threads.

    Every engine gives the same bits. Only where float operators run on the CPU, the bits are those
    of the onnxruntime at hand, and all engines run them by the same sessions.
    """

    @property
    def name(self) -> str:
        """`reference`, `onnxruntime`, ..."""

    @property
    def network(self) -> Network:
        """What it runs."""

    def run(
        self,
        arrays: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        """One frame.

        Args:
            arrays: the model's inputs by tensor name, as `Network.inputs` describes them: images
                int8 (1, H, W, C), the value minus 128; featuremaps float32.
            keep: names of further tensors to give, inner ones too.
            stop: when it has to end; looked at between parts, and while a CPU part runs in a
                process of its own.

        Returns:
            Each output and each kept tensor by tensor name: codes int8 or int32 (1, H, W, C),
            others as the CPU has them.

        Raises:
            InputError: an input is missing or does not fit, or a kept tensor does not exist.
            DeviceFault: the computation failed.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`.
        """

    def run_part(
        self, part: Part, values: Mapping[str, AnyArray], keep: Collection[str] = ()
    ) -> Arrays:
        """One part of the network.

        Args:
            values: the part's inputs by tensor name; others are not read.
            keep: names of inner tensors to give; those of other parts are left out.

        Returns:
            The part's outputs and its kept tensors.

        Raises:
            InputError: an input is missing or does not fit.
            DeviceFault: the computation failed.
        """


class PartRunner(Protocol):
    """Runs one part; may be shared by threads."""

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        """The part's outputs, and of `keep` what it makes; `values` holds its inputs."""


class PartsEngine:
    """An engine that has a runner for each part of its network.

    Args:
        runners: by the part's name.
    """

    def __init__(self, name: str, network: Network, runners: Mapping[str, PartRunner]) -> None:
        self._name, self._network, self._runners = name, network, dict(runners)
        self._known = {item.tensor.name for item in network.inputs}
        self._known.update(made for op in network.ops for made in tensors_made(op))

    @property
    def name(self) -> str:
        return self._name

    @property
    def network(self) -> Network:
        return self._network

    def run(
        self,
        arrays: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        unknown = sorted(set(keep) - self._known)
        if unknown:
            raise InputError(
                f"network {self._network.name!r} has no tensor {unknown[0]!r} that could be kept",
                hint="kept tensors are inputs or results of operations, not constants",
            )
        values: Arrays = {}
        for item in self._network.inputs:
            values[item.tensor.name] = _given(arrays, item.tensor)
        for part in self._network.parts:
            if stop is not None:
                stop.check()
            values.update(self._run(part, values, keep, stop))
        wanted = [*(output.tensor for output in self._network.outputs), *keep]
        return {name: values[name] for name in wanted}

    def run_part(
        self, part: Part, values: Mapping[str, AnyArray], keep: Collection[str] = ()
    ) -> Arrays:
        given = {name: _given(values, self._network.tensors[name]) for name in part.inputs}
        return self._run(part, given, keep, None)

    def _run(
        self,
        part: Part,
        values: Mapping[str, AnyArray],
        keep: Collection[str],
        stop: Stop | None,
    ) -> Arrays:
        made = self._runners[part.name].run(values, keep, stop)
        for name, array in made.items():
            spec = self._network.tensors[name]
            if array.shape != spec.shape or array.dtype != spec.dtype.numpy:
                raise DeviceFault(
                    f"tensor {name!r} came out as {array.dtype} {array.shape}, the model says "
                    f"{spec.dtype.value} {spec.shape}",
                    where=part.name,
                    hint="convert the model again with this version",
                )
        return made


def _given(arrays: Mapping[str, AnyArray], spec: TensorSpec) -> AnyArray:
    """An input, checked."""
    if spec.name not in arrays:
        raise InputError(f"input {spec.name!r} is missing")
    array = np.asarray(arrays[spec.name])
    if array.shape != spec.shape or array.dtype != spec.dtype.numpy:
        raise InputError(
            f"input {spec.name!r} has shape {array.shape} of {array.dtype}; "
            f"{spec.shape} of {spec.dtype.value} is needed"
        )
    return array
