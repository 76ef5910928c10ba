"""Computing instructions on compiled kernels, packed once for each form and its constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from bpu_common.engine import KERNEL_SETS
from bpu_common.environment import KERNELS
from bpu_common.program import Conv, Eltwise, Tile
from bpu_common.tensor import AnyArray
from bpu_sim.kernels.choice import choose_engine
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.plan import Plan, Scratch
from bpu_sim.machine.access import constants
from bpu_sim.machine.memory import Memory
from bpu_sim.machine.operation import Computing, Y, one_operation, operands

Work: TypeAlias = Callable[[], None]
Constants: TypeAlias = tuple[bytes, ...]

NUMPY = "numpy"
"""Instead of an instruction set: the forms of `machine.kernels`."""


def compiled_for(prefer: str) -> Compiled | None:
    """What computes instructions; None: numpy does.

    Args:
        prefer: `auto`, an instruction set or `NUMPY`; `BPU_KERNELS` in the environment overrules
            it, and other engines that it names mean numpy here.

    Raises:
        UsageError: kernels that this machine cannot run.
    """
    wanted = KERNELS.value or prefer
    if wanted not in ("auto", *KERNEL_SETS):
        return None
    choice = choose_engine(wanted)
    return None if choice.library is None else Compiled(choice.library, choice.about.name)


class Compiled:
    """Packed instructions of one program; one of them runs at a time.

    Args:
        set_name: the instruction set.
    """

    def __init__(self, library: Library, set_name: str) -> None:
        self._library, self._set = library, set_name
        self._scratch = Scratch()
        self._packed: dict[tuple[Computing, Constants], _Packed] = {}

    def work(self, op: Computing, sram: Memory, otherwise: Work) -> Work:
        """What runs an instruction in its place.

        Args:
            otherwise: what does it if it is none that the kernels can do.
        """
        return _Work(self, op, sram, otherwise)

    def packed(self, op: Computing, values: Constants) -> _Packed:
        """The instruction with these constants; equal ones elsewhere in memory share it."""
        form = _elsewhere(op)
        found = self._packed.get((form, values))
        if found is None:
            found = self._packed[form, values] = _Packed(values, self._plan(op, values))
        return found

    def bind(self, plan: Plan, tiles: dict[str, Tile], sram: Memory) -> Work:
        """A packed instruction on its tiles."""
        addresses = {name: sram.address + tile.offset_bytes for name, tile in tiles.items()}
        return plan.bind(addresses, self._scratch).run

    def _plan(self, op: Computing, values: Constants) -> Plan | None:
        one = one_operation(op, values)
        if one is None:
            return None
        made, tensors = one
        inputs = [name for name in tensors if name != Y]
        pitches = {
            name: (tile.row_pitch_bytes, tile.pixel_pitch_bytes)
            for name, tile in operands(op).items()
        }
        return Plan(self._library, self._set, [made], tensors, inputs, [Y], pitches)


class _Packed:
    """Constants, and the plan made of them; None: the kernels cannot do it."""

    __slots__ = ("constants", "plan")

    def __init__(self, values: Constants, plan: Plan | None) -> None:
        self.constants = values
        self.plan = plan


class _Work:
    """One instruction. What lies in SRAM decides: its constants are looked at in every run."""

    __slots__ = ("_compiled", "_constants", "_op", "_otherwise", "_run", "_sram", "_views")

    def __init__(self, compiled: Compiled, op: Computing, sram: Memory, otherwise: Work) -> None:
        self._compiled, self._op, self._sram = compiled, op, sram
        self._otherwise = otherwise
        self._views: Sequence[AnyArray] = [sram.view(tile).reshape(-1) for tile in constants(op)]
        self._constants: Constants | None = None
        self._run = otherwise

    def __call__(self) -> None:
        found = tuple([view.tobytes() for view in self._views])
        if found != self._constants:
            self._pack(found)
        self._run()

    def _pack(self, found: Constants) -> None:
        packed = self._compiled.packed(self._op, found)
        self._constants = packed.constants
        self._run = self._otherwise
        if packed.plan is not None:
            self._run = self._compiled.bind(packed.plan, operands(self._op), self._sram)


def _elsewhere(op: Computing) -> Computing:
    """The same instruction for any operation, at the start of memory."""
    plain = replace(op, operation=0, waits=(), y=_at_start(op.y))
    match plain:
        case Conv(addend=addend):
            return replace(
                plain,
                x=_at_start(plain.x),
                addend=None if addend is None else _at_start(addend),
                weights_offset_bytes=0,
                params_offset_bytes=0,
            )
        case Eltwise(b=b):
            return replace(plain, a=_at_start(plain.a), b=None if b is None else _at_start(b))
        case _:
            return replace(plain, x=_at_start(plain.x))


def _at_start(tile: Tile) -> Tile:
    return replace(tile, offset_bytes=0)
