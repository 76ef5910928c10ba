"""CPU parts: float operators, edge operations and int8 operations on the CPU, in onnxruntime.

Float operators have no bits of their own: they depend on the onnxruntime at hand, and on what it
fuses. All engines therefore run such a part by the same sessions, one for each stretch between
custom operators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpu_common.errors import DeviceFault, ModelUnsupported
from bpu_common.network import CustomOp, Network, Operation, Part, tensors_made, tensors_read
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray
from bpu_sim.engines.contained import Worker
from bpu_sim.engines.engine import Arrays, CustomFunction, CustomLoader, PartRunner
from bpu_sim.engines.ort import OrtPart, Plans


class CpuPart:
    """Runs a CPU part; may be shared by threads.

    Args:
        load_custom: finds what computes custom operators.
        worker: runs what comes out of a file; None: this process does.

    Raises:
        ModelUnsupported: a custom operator, and nothing that computes it.
        ModelFormatError: the part holds what may not be run.
        CapacityError: it needs more memory or time than it may have.
    """

    def __init__(
        self,
        part: Part,
        network: Network,
        plans: Plans,
        threads: int,
        load_custom: CustomLoader | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._outputs = part.outputs
        self._steps: list[PartRunner] = []
        stretches = _stretches(part.ops)
        for index, ops in enumerate(stretches):
            if isinstance(ops[0], CustomOp):
                self._steps.append(_Custom(ops[0], _load(ops[0], load_custom), network.constants))
                continue
            later = {
                name for rest in stretches[index + 1 :] for op in rest for name in tensors_read(op)
            }
            made = [name for op in ops for name in tensors_made(op)]
            read = dict.fromkeys(name for op in ops for name in tensors_read(op))
            inputs = [n for n in read if n not in made and n not in network.constants]
            outputs = [name for name in made if name in later or name in part.outputs]
            self._steps.append(
                OrtPart(part.name, ops, network, plans, inputs, outputs, threads, worker)
            )

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        """The outputs and the kept tensors that are made here.

        Raises:
            DeviceFault: an operator failed.
        """
        known = dict(values)
        made: Arrays = {}
        for step in self._steps:
            found = step.run(known, keep, stop)
            known.update(found)
            made.update(found)
        return {name: made[name] for name in made if name in self._outputs or name in keep}


@dataclass(frozen=True, slots=True)
class _Custom:
    """A custom operator as a step of a part."""

    op: CustomOp
    function: CustomFunction
    constants: Mapping[str, AnyArray]

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        del keep, stop  # all it makes are results; it is the user's own code
        op = self.op
        try:
            xs = [values[x] if x in values else self.constants[x] for x in op.xs if x]
            made = [np.asarray(y) for y in self.function(xs)]
        except Exception as error:
            raise DeviceFault(
                f"custom operator {op.module}.{op.class_name} failed: {error}", where=op.name
            ) from error
        names = [name for name in op.ys if name]
        if len(made) != len(names):
            raise DeviceFault(
                f"custom operator {op.module}.{op.class_name} gave {len(made)} results, "
                f"not {len(names)}",
                where=op.name,
            )
        return dict(zip(names, made, strict=True))


def _load(op: CustomOp, load_custom: CustomLoader | None) -> CustomFunction:
    if load_custom is None:
        raise ModelUnsupported(
            f"the model needs the custom operator {op.class_name} of module {op.module}, which "
            "cannot be run here",
            where=op.name,
            hint="run the model where its Python module is given to the runtime",
        )
    return load_custom(op)


def _stretches(ops: Sequence[Operation]) -> list[list[Operation]]:
    """The operations in order, cut before and after each custom one."""
    found: list[list[Operation]] = []
    for op in ops:
        if isinstance(op, CustomOp) or not found or isinstance(found[-1][0], CustomOp):
            found.append([])
        found[-1].append(op)
    return found
