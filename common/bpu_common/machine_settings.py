"""The board around the chip: memory clock, CPU clock and governor of a simulated device.

They belong to the device, not to a model: a `.bin` is the same whatever is set here.
"""

from __future__ import annotations

from dataclasses import replace

from bpu_common.environment import CPU_GOVERNOR, CPU_MHZ, DDR_MTPS, Variable
from bpu_common.errors import UsageError
from bpu_common.machine import MachineSpec

DDR_BUS_BYTES = 4
"""Width of the memory bus (x32)."""
DDR_RATES = (2666, 3200)
CPU_RANGE_MHZ = (240, 1800)
GOVERNORS = {"performance": 1.0, "ondemand": 0.5}
"""Share of the CPU clock that a short operator finds.

Published costs of a Dequantize and a Softmax are 2 to 3 times as long without `performance`."""


def configured(spec: MachineSpec) -> MachineSpec:
    """`spec` as the environment sets its memory and CPU; unset variables change nothing.

    Raises:
        UsageError: a value that no board has.
    """
    if DDR_MTPS.value:
        rate = _number(DDR_MTPS)
        if rate not in DDR_RATES:
            raise _refused(DDR_MTPS)
        bytes_per_s = rate * 1_000_000 * DDR_BUS_BYTES
        spec = replace(spec, ddr_total_bytes_per_cycle=bytes_per_s / spec.clock_hz)
    cpu = spec.cpu
    if CPU_MHZ.value:
        clock_mhz = _number(CPU_MHZ)
        if not CPU_RANGE_MHZ[0] <= clock_mhz <= CPU_RANGE_MHZ[1]:
            raise _refused(CPU_MHZ)
        cpu = replace(cpu, clock_hz=clock_mhz * 1_000_000)
    if CPU_GOVERNOR.value:
        if CPU_GOVERNOR.value not in GOVERNORS:
            raise _refused(CPU_GOVERNOR)
        cpu = replace(cpu, clock_hz=int(cpu.clock_hz * GOVERNORS[CPU_GOVERNOR.value]))
    return replace(spec, cpu=cpu)


def _number(variable: Variable) -> int:
    if not (variable.value.isascii() and variable.value.isdigit() and len(variable.value) < 9):
        raise _refused(variable)
    return int(variable.value)


def _refused(variable: Variable) -> UsageError:
    return UsageError(
        f"{variable.name} is {variable.value[:32]!r}; it must be {variable.values}",
        hint=f"unset it for {variable.default}",
    )
