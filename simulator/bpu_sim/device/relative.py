"""The state of the chip without its place in time: to see that it has come back, and to move it.

Nothing on the chip asks what time it is or which number a task has, only how long ago something
was and which task came first. So two states of one `shape` have the same future, moved in time and
in the numbers of tasks, as long as the same is submitted. Turns of clients are compared as they
are: a client alone stays at one, those of several rise, and nothing comes back then. Two things
break this rule: a deadline is an absolute time, so no task that has one is part of a repetition
(`bpu_sim.device.replay`); and the watchdog's actions carry numbers of tasks, so a state with one of
them has no shape.
"""

from __future__ import annotations

from typing import TypeAlias

from bpu_sim.device.course import Course
from bpu_sim.device.kernel import TIE_SHIFT, WATCHDOG, Kernel
from bpu_sim.device.state import Task

Counters: TypeAlias = "list[int]"


def shape(course: Course, kernel: Kernel) -> object | None:
    """All that decides what happens next, in times from now and numbers from the next task's.

    To be compared and nothing else; None: this state cannot come back.
    """
    now_ns, first = kernel.now_ns, course.next_id
    heap: list[object] = []
    for at_ns, order, action, argument in sorted(kernel.heap):
        if order >= WATCHDOG:
            return None
        what: object
        if isinstance(argument, Task):
            if argument.id not in course.tasks:
                return None  # what was meant for it is without effect, and it will not move
            what = argument.id - first
        else:  # the end of a function call; it may have moved
            core, ticket = argument
            what = (core.index, ticket == core.ticket)
        heap.append((at_ns - now_ns, order >> TIE_SHIFT, action, what))
    tasks: list[object] = []
    for task in course.tasks.values():
        begun = now_ns - task.begun_ns if task.begun_ns >= 0 else None
        tasks.append(
            (task.id - first, task.route, task.control, task.step, task.place, begun, task.bpu_ns,
             task.cpu_ns, task.operator_ns,
             task.cancelled, task.every_event, task.on_event is None, task.turn)
        )  # fmt: skip
    cores = [
        (core.task.id - first, core.call, core.demand, now_ns - core.since_ns)
        if course.driver.running(core.index)
        else None
        for core in course.cores
    ]
    parts = course.driver.shape(first), course.bus.shape(now_ns), course.cpu.shape(first)
    return heap, tasks, cores, parts


def leap(course: Course, kernel: Kernel, time_ns: int, tasks: int) -> None:
    """Move everything later by `time_ns`, and make all numbers of tasks larger by `tasks`."""
    kernel.leap(time_ns)
    course.driver.leap(time_ns, tasks)
    course.bus.leap(time_ns)
    course.cpu.leap(tasks)
    course.next_id += tasks
    for task in course.tasks.values():
        task.id += tasks
        if task.begun_ns >= 0:
            task.begun_ns += time_ns
    moved = {task.id: task for task in course.tasks.values()}
    course.tasks.clear()
    course.tasks.update(moved)
    for core in course.cores:
        core.since_ns += time_ns


def counters(course: Course) -> Counters:
    """What the chip has counted since its start; the calls of `course.trace` are not among it."""
    found = [course.cpu_busy_ns, course.done]
    for core in course.cores:
        found += core.busy_ns, core.calls, core.preemptions, core.ddr_bytes, core.ddr_wait_ns
    return found


def set_counters(course: Course, values: Counters) -> None:
    """The opposite of `counters`."""
    given = iter(values)
    course.cpu_busy_ns, course.done = next(given), next(given)
    for core in course.cores:
        core.busy_ns, core.calls, core.preemptions = next(given), next(given), next(given)
        core.ddr_bytes, core.ddr_wait_ns = next(given), next(given)
