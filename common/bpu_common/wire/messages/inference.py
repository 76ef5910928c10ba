"""Open Inference Protocol messages, in a descriptor pool of their own.

Their names (`inference.ModelInferRequest` ...) are those of every implementation; in the process'
common pool they would clash with a client library's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from bpu_common.board import InferRequest, ModelInfo
from bpu_common.errors import InputError, UsageError
from bpu_common.frame import FrameInput, Roi, parse_roi
from bpu_common.inference import VERSION, ModelState, ModelTotals, NamedInference
from bpu_common.perf import InferResult
from bpu_common.task import CORE_ANY, PRIORITY_LOWEST
from bpu_common.tensor import AnyArray, DType, TensorSpec
from bpu_common.wire.gen.inference_descriptor import SERIALIZED
from bpu_common.wire.messages.arrays import MAX_ARRAYS

POOL = descriptor_pool.DescriptorPool()
for _file in FileDescriptorSet.FromString(SERIALIZED).file:
    POOL.AddSerializedFile(_file.SerializeToString())

SERVICE = "inference.GRPCInferenceService"
PLATFORM = "openbpu_bin"
EXTENSIONS = ("model_configuration", "model_repository", "parameters", "statistics")

_DATATYPES = {
    DType.INT8: "INT8",
    DType.UINT8: "UINT8",
    DType.INT16: "INT16",
    DType.UINT16: "UINT16",
    DType.INT32: "INT32",
    DType.UINT32: "UINT32",
    DType.INT64: "INT64",
    DType.UINT64: "UINT64",
    DType.FLOAT16: "FP16",
    DType.FLOAT32: "FP32",
    DType.FLOAT64: "FP64",
    DType.BOOL: "BOOL",
}
_DTYPES = {text: dtype for dtype, text in _DATATYPES.items()}
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The typed field of each datatype; FP16 has none in the protocol."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MAX_DIMENSIONS = 8
_REFUSED = ("shared_memory_region", "classification")


def message(name: str) -> Any:  # noqa: ANN401  classes made at run time have no types
    """The class of a message of the package."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


_Infer = message("ModelInferResponse")
_Metadata = message("ModelMetadataResponse")
_Config = message("ModelConfig")
_Index = message("RepositoryIndexResponse")
_Statistics = message("ModelStatistics")


def request_from_pb(pb: Any) -> NamedInference:  # noqa: ANN401
    """A `ModelInferRequest`.

    Raises:
        InputError: a tensor that is not what it says.
        UsageError: an option that a board does not have.
    """
    options = _options(pb.parameters)
    timeout_us = options.pop("timeout", 0)
    request = InferRequest(
        model=pb.model_name,
        inputs=_inputs(pb),
        core_id=options.pop("core_id", CORE_ANY),
        priority=options.pop("priority", PRIORITY_LOWEST),
        custom_id=options.pop("custom_id", 0),
    )
    if pb.model_version not in {"", VERSION}:
        raise UsageError(
            f"model {pb.model_name} has no version {pb.model_version!r}", hint=f"it is {VERSION}"
        )
    for output in pb.outputs:
        _refuse(output.name, output.parameters)
    return NamedInference(
        request,
        pb.id,
        tuple(output.name for output in pb.outputs),
        timeout_us / 1e6 if timeout_us > 0 else None,
    )


def response_to_pb(asked: NamedInference, result: InferResult) -> Any:  # noqa: ANN401
    """A `ModelInferResponse` with the outputs that were asked for, as raw bytes.

    Raises:
        InputError: the model has no such output.
    """
    answer = _Infer(model_name=asked.request.model, model_version=VERSION, id=asked.id)
    for name in asked.outputs or tuple(result.outputs):
        array = result.outputs.get(name)
        if array is None:
            raise InputError(
                f"model {asked.request.model} has no output {name!r}",
                hint=f"its outputs are: {', '.join(result.outputs)}",
            )
        datatype = _DATATYPES[DType(array.dtype.name)]
        answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    return answer


def metadata_to_pb(name: str, info: ModelInfo) -> Any:  # noqa: ANN401
    """A `ModelMetadataResponse`."""
    answer = _Metadata(name=name, versions=[VERSION], platform=PLATFORM)
    for value in info.inputs:
        datatype = _DATATYPES[value.caller_dtype]
        answer.inputs.add(name=value.tensor.name, datatype=datatype, shape=value.caller_shape)
    for spec in info.outputs:
        answer.outputs.add(name=spec.name, datatype=_DATATYPES[spec.dtype], shape=spec.shape)
    return answer


def config_to_pb(name: str, info: ModelInfo, core_count: int) -> Any:  # noqa: ANN401
    """A `ModelConfig`. Its parameters hold what the protocol has no field for: pixel formats and
    scales (real = value * scale, one per tensor or one per channel)."""
    answer = _Config(name=name, platform=PLATFORM, backend="openbpu")
    for value in info.inputs:
        answer.input.add(
            name=value.tensor.name, data_type=_config_type(value.caller_dtype),
            dims=value.caller_shape,
        )  # fmt: skip
        answer.parameters[f"{value.tensor.name}.format"].string_value = value.input_type.value
    for spec in info.outputs:
        answer.output.add(name=spec.name, data_type=_config_type(spec.dtype), dims=spec.shape)
        if spec.scale:
            answer.parameters[f"{spec.name}.scale"].string_value = _scale(spec)
    kind = POOL.FindEnumTypeByName("inference.ModelInstanceGroup.Kind")
    answer.instance_group.add(
        name="bpu", count=core_count, kind=kind.values_by_name["KIND_MODEL"].number
    )
    return answer


def state_to_pb(answer: Any, state: ModelState) -> None:  # noqa: ANN401
    """Append a model to a `RepositoryIndexResponse`."""
    answer.models.add(
        name=state.name,
        version=VERSION,
        state="READY" if state.ready else "UNAVAILABLE",
        reason=state.reason,
    )


def totals_to_pb(totals: ModelTotals) -> Any:  # noqa: ANN401
    """A `ModelStatistics`; BPU and CPU time together are what it calls compute_infer.

    Computing the outputs on the host is compute_output, so success is all the time of a request.
    """
    answer = _Statistics(
        name=totals.name,
        version=VERSION,
        last_inference=totals.last_ms,
        inference_count=totals.done,
        execution_count=totals.done,
    )
    stats = answer.inference_stats
    for part, time_ns in (
        (stats.success, totals.latency_ns + totals.host_ns),
        (stats.queue, totals.pending_ns),
        (stats.compute_infer, totals.latency_ns - totals.pending_ns),
        (stats.compute_input, 0),
        (stats.compute_output, totals.host_ns),
    ):
        part.count, part.ns = totals.done, time_ns
    stats.fail.count = totals.failed
    return answer


def _options(parameters: Mapping[str, Any]) -> dict[str, int]:
    """The whole numbers among the parameters of a request; others of other servers are ignored."""
    found = {}
    for name in ("priority", "core_id", "custom_id", "timeout", "sequence_id"):
        if name not in parameters:
            continue
        choice = parameters[name].WhichOneof("parameter_choice")
        if choice in {"int64_param", "uint64_param"}:
            value = getattr(parameters[name], choice)
        elif choice == "string_param" and _WHOLE.fullmatch(parameters[name].string_param):
            value = int(parameters[name].string_param)
        elif choice == "string_param" and not parameters[name].string_param:
            continue
        else:
            raise UsageError(f"parameter {name!r} of a request is not a whole number")
        found[name] = value
    if found.pop("sequence_id", 0):
        raise UsageError("models of a board have no state: there are no sequences")
    return found


def _refuse(name: str, parameters: Mapping[str, Any]) -> None:
    for option in _REFUSED:
        if option in parameters:
            raise UsageError(f"tensor {name!r}: a board does not support {option!r}")


def _inputs(pb: Any) -> dict[str, FrameInput]:  # noqa: ANN401
    if len(pb.inputs) > MAX_ARRAYS:
        raise InputError(f"more than {MAX_ARRAYS} tensors in one request")
    raw = pb.raw_input_contents
    if raw and len(raw) != len(pb.inputs):
        raise InputError(f"{len(raw)} raw contents for {len(pb.inputs)} inputs")
    inputs: dict[str, FrameInput] = {}
    for index, tensor in enumerate(pb.inputs):
        _refuse(tensor.name, tensor.parameters)
        if tensor.name in inputs:
            raise InputError("two tensors of one name", where=f"tensor {tensor.name!r}")
        array = _array(tensor, raw[index] if raw else None)
        inputs[tensor.name] = FrameInput(array, _roi(tensor.name, tensor.parameters))
    return inputs


def _roi(name: str, parameters: Mapping[str, Any]) -> Roi | None:
    """The parameter `roi` of an input, a string of four numbers; the protocol has no field."""
    if "roi" not in parameters:
        return None
    return parse_roi(parameters["roi"].string_param, f"tensor {name!r}")


def _array(tensor: Any, raw: bytes | None) -> AnyArray:  # noqa: ANN401
    where = f"tensor {tensor.name!r}"
    dtype = _DTYPES.get(tensor.datatype)
    if dtype is None:
        raise InputError(
            f"element type {tensor.datatype!r}", where=where, hint=f"possible: {', '.join(_DTYPES)}"
        )
    shape = tuple(tensor.shape)
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise InputError(f"shape {list(shape)}", where=where)
    if raw is not None:
        flat: AnyArray = np.frombuffer(raw, np.uint8)
        count, wanted = len(raw), math.prod(shape) * dtype.size_bytes
    elif tensor.datatype not in _CONTENTS:
        raise InputError(f"{tensor.datatype} values come as raw contents only", where=where)
    else:
        values = getattr(tensor.contents, _CONTENTS[tensor.datatype])
        count, wanted = len(values), math.prod(shape)
        flat = np.fromiter(values, _wide(dtype), count)  # no list of as many Python numbers
    if count != wanted:
        unit = "values" if raw is None else "bytes"
        raise InputError(f"{count} {unit} are not {tensor.datatype} of {list(shape)}", where=where)
    if raw is not None:
        return flat.view(dtype.numpy).reshape(shape)
    narrow = flat.astype(dtype.numpy)
    if not np.array_equal(narrow, flat, equal_nan=narrow.dtype.kind == "f"):
        raise InputError(f"a value does not fit {tensor.datatype}", where=where)
    return narrow.reshape(shape)


def _wide(dtype: DType) -> type[np.generic]:
    """What the values of a typed field are held in before they are narrowed."""
    if dtype in (DType.FLOAT32, DType.FLOAT64, DType.BOOL):
        return dtype.numpy.type
    return np.uint64 if dtype.numpy.kind == "u" else np.int64


def _config_type(dtype: DType) -> int:
    values = POOL.FindEnumTypeByName("inference.DataType").values_by_name
    return int(values[f"TYPE_{_DATATYPES[dtype]}"].number)


def _scale(spec: TensorSpec) -> str:
    return " ".join(repr(float(value)) for value in spec.scale.values)
