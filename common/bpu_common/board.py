"""What a board tells about itself and its models; the values behind the calls of `openbpu.v1`."""

from __future__ import annotations

from dataclasses import dataclass, field

from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.engine import EngineInfo
from bpu_common.frame import FrameInput
from bpu_common.model import BpuModel, NodeInfo
from bpu_common.network import Part, Place, macs
from bpu_common.task import CORE_ANY, PRIORITY_LOWEST
from bpu_common.tensor import ModelInput, TensorSpec

API_VERSION = 1
"""Version of the board's service; a board may know more than its client, not less."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model that a board can run.

    Attributes:
        digest: SHA-256 of the file it is in; empty for one that is only in memory.
        size_bytes: of that file.
        loaded: ready to run without reading the file.
    """

    name: str
    digest: str
    size_bytes: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part of a model, without its programs and weights.

    Attributes:
        on: "BPU" or "CPU".
        predicted_cycles: of all function calls, each alone on a core.
    """

    name: str
    on: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights_bytes: int = 0
    macs: int = 0
    function_calls: int = 0
    predicted_cycles: int = 0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its users see it: what goes in, what comes out, where each node runs."""

    name: str
    march: str
    machine: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[TensorSpec, ...]
    parts: tuple[PartInfo, ...]
    nodes: tuple[NodeInfo, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadHeader:
    """What an upload announces.

    Attributes:
        offset_bytes: position in the file of the first byte that follows.
        replace: afterwards remove older files all of whose models have a name in this one.
    """

    digest: str
    size_bytes: int
    offset_bytes: int = 0
    replace: bool = False


@dataclass(frozen=True, slots=True)
class UploadState:
    """How far an upload has come; `offset_bytes` is where to go on.

    Attributes:
        complete: the file is stored, checked and visible.
    """

    digest: str
    offset_bytes: int
    complete: bool = False
    models: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """One frame to run; `inputs` by name."""

    model: str
    inputs: dict[str, FrameInput]
    core_id: int = CORE_ANY
    priority: int = PRIORITY_LOWEST
    custom_id: int = 0


@dataclass(frozen=True, slots=True)
class DeployResult:
    """A model file that is on the board.

    Attributes:
        models: names of the models in it.
        sent_bytes: bytes that had to be sent (0 if the board had it).
        replaced: digests of files that this one took the place of.
    """

    digest: str
    size_bytes: int
    models: tuple[str, ...]
    sent_bytes: int
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """What answers at an address.

    Attributes:
        version: of OpenBPU on the board.
        boot_id: random id of this run of the agent.
        machine: name of the `MachineSpec`.
        device: what runs the models; `clock`: how its time passes.
        engine: what computes their numbers, if it is a program.
        late_ns: device time that a paced clock has lost, as in telemetry frames.
        step_times, preemption_visible: what task events tell, see the device's capabilities.
    """

    version: str
    api_version: int
    boot_id: str
    machine: str
    core_count: int
    clock_hz: int
    step_times: bool
    preemption_visible: bool
    max_message_bytes: int
    max_model_bytes: int
    device: DeviceKind = DeviceKind.UNKNOWN
    clock: Clock = Clock.UNKNOWN
    engine: EngineInfo = field(default_factory=EngineInfo)
    late_ns: int = 0


def describe_model(model: BpuModel) -> ModelInfo:
    """The description of a model that is at hand."""
    return ModelInfo(
        name=model.name,
        march=model.march,
        machine=model.machine,
        inputs=model.inputs,
        outputs=model.outputs,
        parts=tuple(_describe_part(part, model) for part in model.network.parts),
        nodes=model.nodes,
        parameters=model.facts,
    )


def _describe_part(part: Part, model: BpuModel) -> PartInfo:
    if part.place is Place.CPU:
        return PartInfo(part.name, "CPU", part.inputs, part.outputs)
    made = model.programs[part.name]
    calls = made.program.calls
    return PartInfo(
        name=part.name,
        on="BPU",
        inputs=part.inputs,
        outputs=part.outputs,
        weights_bytes=len(made.weights),
        macs=sum(macs(op, model.network.tensors) for op in part.ops),
        function_calls=len(calls),
        predicted_cycles=sum(call.predicted_cycles for call in calls),
    )
