"""An order in which the streams of a function call can be executed one instruction at a time."""

from __future__ import annotations

from bpu_common.program.calls import FunctionCall
from bpu_common.program.instructions import AwaitStream


class DeadlockError(Exception):
    """Streams that wait for each other.

    Attributes:
        stream, instruction: the first wait that never ends.
    """

    def __init__(self, stream: int, instruction: int) -> None:
        super().__init__(f"stream {stream} waits for ever at instruction {instruction}")
        self.stream = stream
        self.instruction = instruction


def legal_order(call: FunctionCall) -> list[tuple[int, int]]:
    """(stream, instruction) of all instructions: each stream in list order, awaits after targets.

    Real cores run queues side by side and need less; that this order exists is the rule, since it
    is easy to see and to check. An `AwaitStream` of what does not exist never ends.

    Raises:
        DeadlockError: there is none.
    """
    lists = [stream.instructions for stream in call.streams]
    done = [0] * len(lists)
    order: list[tuple[int, int]] = []
    moved = True
    while moved:
        moved = False
        for number, instructions in enumerate(lists):
            while done[number] < len(instructions):
                each = instructions[done[number]]
                if isinstance(each, AwaitStream) and not _is_done(each, number, done):
                    break
                order.append((number, done[number]))
                done[number] += 1
                moved = True
    for number, instructions in enumerate(lists):
        if done[number] < len(instructions):
            raise DeadlockError(number, done[number])
    return order


def _is_done(each: AwaitStream, number: int, done: list[int]) -> bool:
    other = 0 <= each.stream < len(done) and each.stream != number
    return other and 0 <= each.instruction < done[each.stream]
