"""Executes a program's instructions one by one; a fault names call, instruction and operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bpu_common.errors import DeviceFault
from bpu_common.frame import Roi
from bpu_common.program import DeadlockError, FunctionCall, Program, Space, Tile, legal_order
from bpu_common.stop import Stop
from bpu_common.tensor import I8, AnyArray
from bpu_sim.machine.compiled import compiled_for
from bpu_sim.machine.memory import Memory
from bpu_sim.machine.work import Core, Pictures, Ready


class Executor:
    """The cores that a program occupies with their memories.

    SRAM is undefined at the start of every call, scratch and IO at the start of every run.

    Args:
        weights: the part's weights section, read-only.
        operations: names of the part's operations, for faults.
        prefer: what computes: see `machine.compiled.compiled_for`.

    Raises:
        UsageError: kernels that this machine cannot run.
    """

    def __init__(
        self,
        program: Program,
        weights: bytes | memoryview,
        operations: Sequence[str] = (),
        prefer: str = "auto",
    ) -> None:
        section = np.frombuffer(weights, np.uint8)
        section.flags.writeable = False
        self._program = program
        self._operations = operations
        ddr = {
            Space.WEIGHTS: Memory(Space.WEIGHTS, section),
            Space.SCRATCH: Memory(Space.SCRATCH, np.zeros(program.scratch_bytes, np.uint8)),
            Space.IO: Memory(Space.IO, np.zeros(program.io_bytes, np.uint8)),
        }
        cores = max((len(call.streams) for call in program.calls), default=1)
        spaces: list[dict[Space, Memory]] = [
            {**ddr, Space.SRAM: Memory(Space.SRAM, np.zeros(program.sram_bytes, np.uint8))}
            for _ in range(cores)
        ]
        self._memories = spaces[0]
        self._pictures: Pictures = {}
        compiled = compiled_for(prefer)
        self._cores = tuple(
            Core(memories, program.rois, self._pictures, compiled) for memories in spaces
        )
        self._ready: dict[tuple[int, int, int], Ready] = {}

    def begin(self) -> None:
        """Forget the previous run."""
        self._memories[Space.SCRATCH].forget()
        self._memories[Space.IO].forget()
        self._pictures.clear()

    def set_picture(self, roi_input: int, frame: int, codes: I8, roi: Roi) -> None:
        """What `LoadRoi` reads: the caller's picture as codes (H, W, C), and the region of it."""
        self._pictures[roi_input, frame] = codes, roi

    def write(self, tile: Tile, values: AnyArray) -> None:
        """Put values (H, W, C) into a tile, as an instruction of the first core would."""
        memory = self._memories[tile.space]
        written = memory.writing(tile)
        memory.view(tile)[...] = values
        written.fill(True)

    def read(self, tile: Tile) -> AnyArray:
        """A copy of a tile's values (H, W, C), in SRAM those of the first core.

        Raises:
            DeviceFault: some were never written.
        """
        memory = self._memories[tile.space]
        reading = memory.reading(tile)
        if reading is not None:
            reading.check()
        return memory.view(tile).copy()

    def run(self, stop: Stop | None = None) -> None:
        """Execute all calls in order.

        Args:
            stop: when it has to end; looked at before each instruction.

        Raises:
            DeviceFault: as `run_call`.
            Cancelled, DeadlineExceeded: `stop`.
        """
        for index in range(len(self._program.calls)):
            self.run_call(index, stop=stop)

    def run_call(
        self,
        index: int,
        order: Iterable[tuple[int, int]] | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Execute one call, one instruction at a time.

        Args:
            order: (stream, instruction) of all; any legal order gives the same bits. None: each
                stream in list order.
            stop: when it has to end.

        Raises:
            DeviceFault: an instruction reads or writes where it must not, or the streams wait for
                each other.
        """
        call = self._program.calls[index]
        for core in self._cores:
            core.forget()
        try:
            for stream, position in legal_order(call) if order is None else order:
                if stop is not None:
                    stop.check()
                try:
                    self._prepared(index, stream, position).run()
                except DeviceFault as fault:
                    where = self._place(index, call, stream, position)
                    raise DeviceFault(fault.message, where=where, hint=fault.hint) from fault
        except DeadlockError as deadlock:
            raise DeviceFault(str(deadlock), where=f"call {index} '{call.name}'") from None

    def _prepared(self, index: int, stream: int, position: int) -> Ready:
        """An instruction made ready when it runs first."""
        place = (index, stream, position)
        found = self._ready.get(place)
        if found is None:
            instruction = self._program.calls[index].streams[stream].instructions[position]
            found = self._ready[place] = self._cores[stream].ready(instruction)
        return found

    def _place(self, index: int, call: FunctionCall, stream: int, position: int) -> str:
        instruction = call.streams[stream].instructions[position]
        number = instruction.operation
        named = 0 <= number < len(self._operations)
        operation = f"'{self._operations[number]}'" if named else str(number)
        core = f"stream {stream}, " if len(call.streams) > 1 else ""
        kind = type(instruction).__name__
        return (
            f"call {index} '{call.name}', {core}instruction {position} ({kind}), "
            f"operation {operation}"
        )
