"""What stands behind a board's numbers and times: a model of the chip or a chip; whose clock."""

from __future__ import annotations

from enum import Enum


class DeviceKind(str, Enum):
    """What runs the models. UNKNOWN: another version did not say, or said what we do not know."""

    UNKNOWN = "unknown"
    SIMULATED = "simulated"  # a program computes the numbers, a model of the chip gives the times
    CHIP = "chip"

    @classmethod
    def _missing_(cls, _value: object) -> DeviceKind:
        return cls.UNKNOWN


class Clock(str, Enum):
    """How device time passes. UNKNOWN: as of `DeviceKind`."""

    UNKNOWN = "unknown"
    VIRTUAL = "virtual"  # simulated as fast as it can be computed; stands still between tasks
    PACED = "paced"  # simulated, and follows the wall clock
    REAL = "real"

    @classmethod
    def _missing_(cls, _value: object) -> Clock:
        return cls.UNKNOWN


def device_words(device: DeviceKind, clock: Clock) -> str:
    """Both in words for a person: "simulated, virtual clock"."""
    if device is DeviceKind.CHIP:
        return "real chip"
    if clock is Clock.UNKNOWN:
        return f"{device.value} device" if device is DeviceKind.UNKNOWN else device.value
    return f"{device.value}, {clock.value} clock"


def device_line(machine: str, device: DeviceKind, clock: Clock) -> str:
    """What times come from, for a person: "x3m (simulated, virtual clock: modelled times)"."""
    modelled = ": modelled times" if device is DeviceKind.SIMULATED else ""
    return f"{machine} ({device_words(device, clock)}{modelled})"


def late_words(late_ns: int) -> str:
    """How far a paced clock fell behind, for a person."""
    return (
        f"the clock lost {late_ns / 1e6:.0f} ms: this computer simulates slower than time passes; "
        "the times are the chip's all the same"
    )
