"""Runs programs instruction by instruction on modelled memories, and proves their ordering.

`ExactPart` executes, `check_hazards` proves that the waits cover every dependency between the
queues, `text` lists a program for people. The numbers are those of `bpu_sim.arith`.
"""

from bpu_sim.machine.executor import Executor
from bpu_sim.machine.hazards import Hazard, check_hazards, find_hazards
from bpu_sim.machine.part import ExactPart

__all__ = ["ExactPart", "Executor", "Hazard", "check_hazards", "find_hazards"]
