"""The simulated chip in device time: kernel, clocks, driver, DDR bus, CPU cluster."""

from bpu_sim.device.chip import Chip
from bpu_sim.device.clock import Clock, PacedClock, VirtualClock
from bpu_sim.device.course import OnEvent
from bpu_sim.device.cpu import CpuCluster
from bpu_sim.device.ddr import DdrBus
from bpu_sim.device.driver import Action, Driver, Failed, Finished, Parked, Start
from bpu_sim.device.kernel import Kernel, Tie
from bpu_sim.device.sample import ChipSample

__all__ = [
    "Action",
    "Chip",
    "ChipSample",
    "Clock",
    "CpuCluster",
    "DdrBus",
    "Driver",
    "Failed",
    "Finished",
    "Kernel",
    "OnEvent",
    "PacedClock",
    "Parked",
    "Start",
    "Tie",
    "VirtualClock",
]
