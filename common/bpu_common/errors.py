"""The one tree of errors a user can cause or meet.

Every error says what went wrong (`message`), where (`where`) and what to do next (`hint`). The
same classes cross gRPC in both directions (see `bpu_common.wire`) and end as an exit status.
"""

from __future__ import annotations

from typing import ClassVar


class BpuError(Exception):
    """Base of all OpenBPU errors.

    Attributes:
        message: one sentence that names the thing that failed.
        where: the place (file:line, node name, byte offset, address); empty if the message has it.
        hint: the next step for the user; empty if there is none.
    """

    code: ClassVar[str] = "INTERNAL"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class UsageError(BpuError):
    """A command line or API call that cannot be carried out as written."""

    code = "USAGE"
    exit_status = 2


class ConfigError(BpuError):
    """A YAML configuration that is incomplete, out of range or contradictory."""

    code = "CONFIG"
    exit_status = 2


class InputError(BpuError):
    """A tensor, image or input file whose shape, size or type does not fit the model."""

    code = "INPUT"
    exit_status = 2


class ModelUnsupported(BpuError):
    """A float model that cannot be converted; `where` names the node."""

    code = "MODEL_UNSUPPORTED"


class ModelFormatError(BpuError):
    """A file that is not a valid model: wrong magic, version, checksum or structure."""

    code = "MODEL_FORMAT"


class CalibrationError(BpuError):
    """Calibration data that is missing, of the wrong size or unusable."""

    code = "CALIBRATION"


class CapacityError(BpuError):
    """A limit reached: memory, queue, message size, number of tasks."""

    code = "CAPACITY"


class ModelNotFound(BpuError):
    """A model name or digest that is not in the store or not loaded."""

    code = "MODEL_NOT_FOUND"


class DeadlineExceeded(BpuError):
    """A request whose deadline passed before it was done."""

    code = "DEADLINE"


class Cancelled(BpuError):
    """A request that its caller took back."""

    code = "CANCELLED"


class DeviceFault(BpuError):
    """The device (or the simulated one) failed while running a task."""

    code = "DEVICE_FAULT"


class BoardUnreachable(BpuError):
    """No agent answers at the address, or the connection was lost."""

    code = "BOARD_UNREACHABLE"


class DeployError(BpuError):
    """A model upload that could not be completed; nothing of it is visible on the board."""

    code = "DEPLOY"


class CompilerBug(BpuError):
    """An invariant of the compiler is broken; the message names the pass or stage."""

    code = "COMPILER_BUG"


def all_error_classes() -> tuple[type[BpuError], ...]:
    """Every class of this module, base included, in definition order.

    A refinement defined elsewhere keeps its base's code and crosses the wire as its base.
    """
    found: list[type[BpuError]] = [BpuError]
    for cls in found:
        found.extend(each for each in cls.__subclasses__() if each.__module__ == __name__)
    return tuple(found)
