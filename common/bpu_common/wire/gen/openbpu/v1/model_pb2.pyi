from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_INT8: _ClassVar[DType]
    DTYPE_UINT8: _ClassVar[DType]
    DTYPE_INT16: _ClassVar[DType]
    DTYPE_INT32: _ClassVar[DType]
    DTYPE_INT64: _ClassVar[DType]
    DTYPE_FLOAT32: _ClassVar[DType]
    DTYPE_BOOL: _ClassVar[DType]
    DTYPE_INT4: _ClassVar[DType]
    DTYPE_UINT4: _ClassVar[DType]
    DTYPE_FLOAT16: _ClassVar[DType]
    DTYPE_UINT16: _ClassVar[DType]
    DTYPE_UINT32: _ClassVar[DType]
    DTYPE_FLOAT64: _ClassVar[DType]
    DTYPE_UINT64: _ClassVar[DType]

class Layout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAYOUT_NONE: _ClassVar[Layout]
    LAYOUT_NHWC: _ClassVar[Layout]
    LAYOUT_NCHW: _ClassVar[Layout]

class InputType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_TYPE_FEATUREMAP: _ClassVar[InputType]
    INPUT_TYPE_NV12: _ClassVar[InputType]
    INPUT_TYPE_YUV444: _ClassVar[InputType]
    INPUT_TYPE_RGB: _ClassVar[InputType]
    INPUT_TYPE_BGR: _ClassVar[InputType]
    INPUT_TYPE_GRAY: _ClassVar[InputType]
    INPUT_TYPE_NV12_SEPARATE: _ClassVar[InputType]

class InputSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_SOURCE_DDR: _ClassVar[InputSource]
    INPUT_SOURCE_PYRAMID: _ClassVar[InputSource]
    INPUT_SOURCE_RESIZER: _ClassVar[InputSource]

class Place(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACE_BPU: _ClassVar[Place]
    PLACE_CPU: _ClassVar[Place]

class Space(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPACE_SRAM: _ClassVar[Space]
    SPACE_WEIGHTS: _ClassVar[Space]
    SPACE_SCRATCH: _ClassVar[Space]
    SPACE_IO: _ClassVar[Space]

class EltwiseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ELTWISE_KIND_ADD: _ClassVar[EltwiseKind]
    ELTWISE_KIND_MUL: _ClassVar[EltwiseKind]
    ELTWISE_KIND_SCALE: _ClassVar[EltwiseKind]

class ResizeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_MODE_NEAREST: _ClassVar[ResizeMode]
    RESIZE_MODE_BILINEAR: _ClassVar[ResizeMode]

class Engine(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENGINE_LOAD: _ClassVar[Engine]
    ENGINE_COMPUTE: _ClassVar[Engine]
    ENGINE_STORE: _ClassVar[Engine]
DTYPE_INT8: DType
DTYPE_UINT8: DType
DTYPE_INT16: DType
DTYPE_INT32: DType
DTYPE_INT64: DType
DTYPE_FLOAT32: DType
DTYPE_BOOL: DType
DTYPE_INT4: DType
DTYPE_UINT4: DType
DTYPE_FLOAT16: DType
DTYPE_UINT16: DType
DTYPE_UINT32: DType
DTYPE_FLOAT64: DType
DTYPE_UINT64: DType
LAYOUT_NONE: Layout
LAYOUT_NHWC: Layout
LAYOUT_NCHW: Layout
INPUT_TYPE_FEATUREMAP: InputType
INPUT_TYPE_NV12: InputType
INPUT_TYPE_YUV444: InputType
INPUT_TYPE_RGB: InputType
INPUT_TYPE_BGR: InputType
INPUT_TYPE_GRAY: InputType
INPUT_TYPE_NV12_SEPARATE: InputType
INPUT_SOURCE_DDR: InputSource
INPUT_SOURCE_PYRAMID: InputSource
INPUT_SOURCE_RESIZER: InputSource
PLACE_BPU: Place
PLACE_CPU: Place
SPACE_SRAM: Space
SPACE_WEIGHTS: Space
SPACE_SCRATCH: Space
SPACE_IO: Space
ELTWISE_KIND_ADD: EltwiseKind
ELTWISE_KIND_MUL: EltwiseKind
ELTWISE_KIND_SCALE: EltwiseKind
RESIZE_MODE_NEAREST: ResizeMode
RESIZE_MODE_BILINEAR: ResizeMode
ENGINE_LOAD: Engine
ENGINE_COMPUTE: Engine
ENGINE_STORE: Engine

class Scale(_message.Message):
    __slots__ = ("values", "zero_points", "axis")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ZERO_POINTS_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    zero_points: _containers.RepeatedScalarFieldContainer[int]
    axis: int
    def __init__(self, values: _Optional[_Iterable[float]] = ..., zero_points: _Optional[_Iterable[int]] = ..., axis: _Optional[int] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "shape", "dtype", "layout", "aligned_shape", "scale", "strides_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    ALIGNED_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    STRIDES_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    dtype: DType
    layout: Layout
    aligned_shape: _containers.RepeatedScalarFieldContainer[int]
    scale: Scale
    strides_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[_Union[DType, str]] = ..., layout: _Optional[_Union[Layout, str]] = ..., aligned_shape: _Optional[_Iterable[int]] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., strides_bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("tensor", "input_type", "layout", "source", "video_range")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VIDEO_RANGE_FIELD_NUMBER: _ClassVar[int]
    tensor: TensorSpec
    input_type: InputType
    layout: Layout
    source: InputSource
    video_range: bool
    def __init__(self, tensor: _Optional[_Union[TensorSpec, _Mapping]] = ..., input_type: _Optional[_Union[InputType, str]] = ..., layout: _Optional[_Union[Layout, str]] = ..., source: _Optional[_Union[InputSource, str]] = ..., video_range: _Optional[bool] = ...) -> None: ...

class NodeInfo(_message.Message):
    __slots__ = ("name", "on", "subgraph", "op_type", "cosine", "threshold", "in_dtype", "out_dtype")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    SUBGRAPH_FIELD_NUMBER: _ClassVar[int]
    OP_TYPE_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    IN_DTYPE_FIELD_NUMBER: _ClassVar[int]
    OUT_DTYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    on: str
    subgraph: int
    op_type: str
    cosine: float
    threshold: float
    in_dtype: str
    out_dtype: str
    def __init__(self, name: _Optional[str] = ..., on: _Optional[str] = ..., subgraph: _Optional[int] = ..., op_type: _Optional[str] = ..., cosine: _Optional[float] = ..., threshold: _Optional[float] = ..., in_dtype: _Optional[str] = ..., out_dtype: _Optional[str] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ProgramSections(_message.Message):
    __slots__ = ("part", "program_section", "weights_section")
    PART_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_SECTION_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_SECTION_FIELD_NUMBER: _ClassVar[int]
    part: str
    program_section: int
    weights_section: int
    def __init__(self, part: _Optional[str] = ..., program_section: _Optional[int] = ..., weights_section: _Optional[int] = ...) -> None: ...

class HintSection(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: int
    def __init__(self, name: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...

class ModelSections(_message.Message):
    __slots__ = ("march", "machine", "features", "network_section", "constants_section", "programs", "nodes", "parameters", "provenance", "hints")
    MARCH_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_SECTION_FIELD_NUMBER: _ClassVar[int]
    CONSTANTS_SECTION_FIELD_NUMBER: _ClassVar[int]
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    march: str
    machine: str
    features: _containers.RepeatedScalarFieldContainer[str]
    network_section: int
    constants_section: int
    programs: _containers.RepeatedCompositeFieldContainer[ProgramSections]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeInfo]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    provenance: Provenance
    hints: _containers.RepeatedCompositeFieldContainer[HintSection]
    def __init__(self, march: _Optional[str] = ..., machine: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., network_section: _Optional[int] = ..., constants_section: _Optional[int] = ..., programs: _Optional[_Iterable[_Union[ProgramSections, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[NodeInfo, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., hints: _Optional[_Iterable[_Union[HintSection, _Mapping]]] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSections]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSections, _Mapping]]] = ...) -> None: ...

class StoredArray(_message.Message):
    __slots__ = ("offset_bytes", "shape")
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    offset_bytes: int
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, offset_bytes: _Optional[int] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Addend(_message.Message):
    __slots__ = ("x", "factors")
    X_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    x: str
    factors: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[str] = ..., factors: _Optional[_Iterable[int]] = ...) -> None: ...

class QConv(_message.Message):
    __slots__ = ("x", "y", "weights", "params_offset_bytes", "stride_hw", "dilation_hw", "pads_tlbr", "groups", "upsample_hw", "clamp", "pad_code", "addend")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    STRIDE_HW_FIELD_NUMBER: _ClassVar[int]
    DILATION_HW_FIELD_NUMBER: _ClassVar[int]
    PADS_TLBR_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    UPSAMPLE_HW_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    PAD_CODE_FIELD_NUMBER: _ClassVar[int]
    ADDEND_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    weights: StoredArray
    params_offset_bytes: int
    stride_hw: _containers.RepeatedScalarFieldContainer[int]
    dilation_hw: _containers.RepeatedScalarFieldContainer[int]
    pads_tlbr: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    upsample_hw: _containers.RepeatedScalarFieldContainer[int]
    clamp: _containers.RepeatedScalarFieldContainer[int]
    pad_code: int
    addend: Addend
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., weights: _Optional[_Union[StoredArray, _Mapping]] = ..., params_offset_bytes: _Optional[int] = ..., stride_hw: _Optional[_Iterable[int]] = ..., dilation_hw: _Optional[_Iterable[int]] = ..., pads_tlbr: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., upsample_hw: _Optional[_Iterable[int]] = ..., clamp: _Optional[_Iterable[int]] = ..., pad_code: _Optional[int] = ..., addend: _Optional[_Union[Addend, _Mapping]] = ...) -> None: ...

class QMaxPool(_message.Message):
    __slots__ = ("x", "y", "kernel_hw", "stride_hw", "pads_tlbr")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    KERNEL_HW_FIELD_NUMBER: _ClassVar[int]
    STRIDE_HW_FIELD_NUMBER: _ClassVar[int]
    PADS_TLBR_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    kernel_hw: _containers.RepeatedScalarFieldContainer[int]
    stride_hw: _containers.RepeatedScalarFieldContainer[int]
    pads_tlbr: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., kernel_hw: _Optional[_Iterable[int]] = ..., stride_hw: _Optional[_Iterable[int]] = ..., pads_tlbr: _Optional[_Iterable[int]] = ...) -> None: ...

class QEltwise(_message.Message):
    __slots__ = ("kind", "a", "b", "y", "entries", "clamp", "zeros")
    KIND_FIELD_NUMBER: _ClassVar[int]
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    kind: EltwiseKind
    a: str
    b: str
    y: str
    entries: _containers.RepeatedCompositeFieldContainer[EltwiseEntry]
    clamp: _containers.RepeatedScalarFieldContainer[int]
    zeros: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[_Union[EltwiseKind, str]] = ..., a: _Optional[str] = ..., b: _Optional[str] = ..., y: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[EltwiseEntry, _Mapping]]] = ..., clamp: _Optional[_Iterable[int]] = ..., zeros: _Optional[_Iterable[int]] = ...) -> None: ...

class QLut(_message.Message):
    __slots__ = ("x", "y", "tables")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    tables: StoredArray
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., tables: _Optional[_Union[StoredArray, _Mapping]] = ...) -> None: ...

class QResize(_message.Message):
    __slots__ = ("x", "y", "mode", "rows", "columns")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    mode: ResizeMode
    rows: Axis
    columns: Axis
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., mode: _Optional[_Union[ResizeMode, str]] = ..., rows: _Optional[_Union[Axis, _Mapping]] = ..., columns: _Optional[_Union[Axis, _Mapping]] = ...) -> None: ...

class QConcat(_message.Message):
    __slots__ = ("xs", "y", "axis")
    XS_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    xs: _containers.RepeatedScalarFieldContainer[str]
    y: str
    axis: int
    def __init__(self, xs: _Optional[_Iterable[str]] = ..., y: _Optional[str] = ..., axis: _Optional[int] = ...) -> None: ...

class QSlice(_message.Message):
    __slots__ = ("x", "y", "start_hwc", "step_hwc")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    START_HWC_FIELD_NUMBER: _ClassVar[int]
    STEP_HWC_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    start_hwc: _containers.RepeatedScalarFieldContainer[int]
    step_hwc: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., start_hwc: _Optional[_Iterable[int]] = ..., step_hwc: _Optional[_Iterable[int]] = ...) -> None: ...

class QPad(_message.Message):
    __slots__ = ("x", "y", "pads_tlbr", "value")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    PADS_TLBR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    pads_tlbr: _containers.RepeatedScalarFieldContainer[int]
    value: int
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., pads_tlbr: _Optional[_Iterable[int]] = ..., value: _Optional[int] = ...) -> None: ...

class QDepthToSpace(_message.Message):
    __slots__ = ("x", "y", "block", "to_space", "dcr")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    TO_SPACE_FIELD_NUMBER: _ClassVar[int]
    DCR_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    block: int
    to_space: bool
    dcr: bool
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., block: _Optional[int] = ..., to_space: _Optional[bool] = ..., dcr: _Optional[bool] = ...) -> None: ...

class Quantize(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ...) -> None: ...

class Dequantize(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ...) -> None: ...

class Transpose(_message.Message):
    __slots__ = ("x", "y", "perm")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    PERM_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    perm: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., perm: _Optional[_Iterable[int]] = ...) -> None: ...

class Cast(_message.Message):
    __slots__ = ("x", "y", "to")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    to: DType
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., to: _Optional[_Union[DType, str]] = ...) -> None: ...

class Reshape(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ...) -> None: ...

class Softmax(_message.Message):
    __slots__ = ("x", "y", "axis")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    x: str
    y: str
    axis: int
    def __init__(self, x: _Optional[str] = ..., y: _Optional[str] = ..., axis: _Optional[int] = ...) -> None: ...

class OnnxOp(_message.Message):
    __slots__ = ("xs", "ys", "node")
    XS_FIELD_NUMBER: _ClassVar[int]
    YS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    xs: _containers.RepeatedScalarFieldContainer[str]
    ys: _containers.RepeatedScalarFieldContainer[str]
    node: bytes
    def __init__(self, xs: _Optional[_Iterable[str]] = ..., ys: _Optional[_Iterable[str]] = ..., node: _Optional[bytes] = ...) -> None: ...

class CustomOp(_message.Message):
    __slots__ = ("xs", "ys", "module", "class_name", "attributes", "source_sha256")
    XS_FIELD_NUMBER: _ClassVar[int]
    YS_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    xs: _containers.RepeatedScalarFieldContainer[str]
    ys: _containers.RepeatedScalarFieldContainer[str]
    module: str
    class_name: str
    attributes: _containers.RepeatedCompositeFieldContainer[Parameter]
    source_sha256: str
    def __init__(self, xs: _Optional[_Iterable[str]] = ..., ys: _Optional[_Iterable[str]] = ..., module: _Optional[str] = ..., class_name: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., source_sha256: _Optional[str] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("name", "op_type", "sources", "qconv", "qmax_pool", "qeltwise", "qlut", "qresize", "qconcat", "qslice", "qpad", "qdepth_to_space", "quantize", "dequantize", "transpose", "cast", "reshape", "softmax", "onnx_op", "custom_op")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OP_TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    QCONV_FIELD_NUMBER: _ClassVar[int]
    QMAX_POOL_FIELD_NUMBER: _ClassVar[int]
    QELTWISE_FIELD_NUMBER: _ClassVar[int]
    QLUT_FIELD_NUMBER: _ClassVar[int]
    QRESIZE_FIELD_NUMBER: _ClassVar[int]
    QCONCAT_FIELD_NUMBER: _ClassVar[int]
    QSLICE_FIELD_NUMBER: _ClassVar[int]
    QPAD_FIELD_NUMBER: _ClassVar[int]
    QDEPTH_TO_SPACE_FIELD_NUMBER: _ClassVar[int]
    QUANTIZE_FIELD_NUMBER: _ClassVar[int]
    DEQUANTIZE_FIELD_NUMBER: _ClassVar[int]
    TRANSPOSE_FIELD_NUMBER: _ClassVar[int]
    CAST_FIELD_NUMBER: _ClassVar[int]
    RESHAPE_FIELD_NUMBER: _ClassVar[int]
    SOFTMAX_FIELD_NUMBER: _ClassVar[int]
    ONNX_OP_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_OP_FIELD_NUMBER: _ClassVar[int]
    name: str
    op_type: str
    sources: _containers.RepeatedScalarFieldContainer[str]
    qconv: QConv
    qmax_pool: QMaxPool
    qeltwise: QEltwise
    qlut: QLut
    qresize: QResize
    qconcat: QConcat
    qslice: QSlice
    qpad: QPad
    qdepth_to_space: QDepthToSpace
    quantize: Quantize
    dequantize: Dequantize
    transpose: Transpose
    cast: Cast
    reshape: Reshape
    softmax: Softmax
    onnx_op: OnnxOp
    custom_op: CustomOp
    def __init__(self, name: _Optional[str] = ..., op_type: _Optional[str] = ..., sources: _Optional[_Iterable[str]] = ..., qconv: _Optional[_Union[QConv, _Mapping]] = ..., qmax_pool: _Optional[_Union[QMaxPool, _Mapping]] = ..., qeltwise: _Optional[_Union[QEltwise, _Mapping]] = ..., qlut: _Optional[_Union[QLut, _Mapping]] = ..., qresize: _Optional[_Union[QResize, _Mapping]] = ..., qconcat: _Optional[_Union[QConcat, _Mapping]] = ..., qslice: _Optional[_Union[QSlice, _Mapping]] = ..., qpad: _Optional[_Union[QPad, _Mapping]] = ..., qdepth_to_space: _Optional[_Union[QDepthToSpace, _Mapping]] = ..., quantize: _Optional[_Union[Quantize, _Mapping]] = ..., dequantize: _Optional[_Union[Dequantize, _Mapping]] = ..., transpose: _Optional[_Union[Transpose, _Mapping]] = ..., cast: _Optional[_Union[Cast, _Mapping]] = ..., reshape: _Optional[_Union[Reshape, _Mapping]] = ..., softmax: _Optional[_Union[Softmax, _Mapping]] = ..., onnx_op: _Optional[_Union[OnnxOp, _Mapping]] = ..., custom_op: _Optional[_Union[CustomOp, _Mapping]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("name", "place", "ops", "inputs", "outputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    place: Place
    ops: _containers.RepeatedCompositeFieldContainer[Operation]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., place: _Optional[_Union[Place, str]] = ..., ops: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...

class ModelOutput(_message.Message):
    __slots__ = ("name", "tensor", "layer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    tensor: str
    layer: str
    def __init__(self, name: _Optional[str] = ..., tensor: _Optional[str] = ..., layer: _Optional[str] = ...) -> None: ...

class RemovedNode(_message.Message):
    __slots__ = ("op", "at_input", "x", "y", "mean", "factor")
    OP_FIELD_NUMBER: _ClassVar[int]
    AT_INPUT_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    op: Operation
    at_input: bool
    x: TensorSpec
    y: TensorSpec
    mean: _containers.RepeatedScalarFieldContainer[float]
    factor: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, op: _Optional[_Union[Operation, _Mapping]] = ..., at_input: _Optional[bool] = ..., x: _Optional[_Union[TensorSpec, _Mapping]] = ..., y: _Optional[_Union[TensorSpec, _Mapping]] = ..., mean: _Optional[_Iterable[float]] = ..., factor: _Optional[_Iterable[float]] = ...) -> None: ...

class Constant(_message.Message):
    __slots__ = ("name", "dtype", "shape", "offset_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: DType
    shape: _containers.RepeatedScalarFieldContainer[int]
    offset_bytes: int
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[DType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., offset_bytes: _Optional[int] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("name", "tensors", "inputs", "outputs", "parts", "constants", "removed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    CONSTANTS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    name: str
    tensors: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    inputs: _containers.RepeatedCompositeFieldContainer[ModelInput]
    outputs: _containers.RepeatedCompositeFieldContainer[ModelOutput]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    constants: _containers.RepeatedCompositeFieldContainer[Constant]
    removed: _containers.RepeatedCompositeFieldContainer[RemovedNode]
    def __init__(self, name: _Optional[str] = ..., tensors: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[ModelInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[ModelOutput, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., constants: _Optional[_Iterable[_Union[Constant, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[RemovedNode, _Mapping]]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("source_sha256", "source_files", "samples_sha256", "configuration", "versions", "custom_files")
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FILES_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_SHA256_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FILES_FIELD_NUMBER: _ClassVar[int]
    source_sha256: str
    source_files: _containers.RepeatedCompositeFieldContainer[Parameter]
    samples_sha256: str
    configuration: _containers.RepeatedCompositeFieldContainer[Parameter]
    versions: _containers.RepeatedCompositeFieldContainer[Parameter]
    custom_files: _containers.RepeatedCompositeFieldContainer[Parameter]
    def __init__(self, source_sha256: _Optional[str] = ..., source_files: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., samples_sha256: _Optional[str] = ..., configuration: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., versions: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., custom_files: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ...) -> None: ...

class Tile(_message.Message):
    __slots__ = ("space", "offset_bytes", "height", "width", "channels", "row_pitch_bytes", "pixel_pitch_bytes", "dtype")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    ROW_PITCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIXEL_PITCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    space: Space
    offset_bytes: int
    height: int
    width: int
    channels: int
    row_pitch_bytes: int
    pixel_pitch_bytes: int
    dtype: DType
    def __init__(self, space: _Optional[_Union[Space, str]] = ..., offset_bytes: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., row_pitch_bytes: _Optional[int] = ..., pixel_pitch_bytes: _Optional[int] = ..., dtype: _Optional[_Union[DType, str]] = ...) -> None: ...

class Requant(_message.Message):
    __slots__ = ("bias", "right_shift", "multiplier", "out_shift")
    BIAS_FIELD_NUMBER: _ClassVar[int]
    RIGHT_SHIFT_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    OUT_SHIFT_FIELD_NUMBER: _ClassVar[int]
    bias: int
    right_shift: int
    multiplier: int
    out_shift: int
    def __init__(self, bias: _Optional[int] = ..., right_shift: _Optional[int] = ..., multiplier: _Optional[int] = ..., out_shift: _Optional[int] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("src", "dst")
    SRC_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    src: Tile
    dst: Tile
    def __init__(self, src: _Optional[_Union[Tile, _Mapping]] = ..., dst: _Optional[_Union[Tile, _Mapping]] = ...) -> None: ...

class LoadImage(_message.Message):
    __slots__ = ("offset_bytes", "height", "width", "stride_bytes", "input_type", "row0", "dst")
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    STRIDE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ROW0_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    offset_bytes: int
    height: int
    width: int
    stride_bytes: int
    input_type: InputType
    row0: int
    dst: Tile
    def __init__(self, offset_bytes: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., stride_bytes: _Optional[int] = ..., input_type: _Optional[_Union[InputType, str]] = ..., row0: _Optional[int] = ..., dst: _Optional[_Union[Tile, _Mapping]] = ...) -> None: ...

class LoadRoi(_message.Message):
    __slots__ = ("roi", "row0", "dst", "frame")
    ROI_FIELD_NUMBER: _ClassVar[int]
    ROW0_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    roi: int
    row0: int
    dst: Tile
    frame: int
    def __init__(self, roi: _Optional[int] = ..., row0: _Optional[int] = ..., dst: _Optional[_Union[Tile, _Mapping]] = ..., frame: _Optional[int] = ...) -> None: ...

class LoadConst(_message.Message):
    __slots__ = ("src_offset_bytes", "dst_offset_bytes", "size_bytes")
    SRC_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    DST_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    src_offset_bytes: int
    dst_offset_bytes: int
    size_bytes: int
    def __init__(self, src_offset_bytes: _Optional[int] = ..., dst_offset_bytes: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Store(_message.Message):
    __slots__ = ("src", "dst")
    SRC_FIELD_NUMBER: _ClassVar[int]
    DST_FIELD_NUMBER: _ClassVar[int]
    src: Tile
    dst: Tile
    def __init__(self, src: _Optional[_Union[Tile, _Mapping]] = ..., dst: _Optional[_Union[Tile, _Mapping]] = ...) -> None: ...

class Conv(_message.Message):
    __slots__ = ("x", "y", "weights_offset_bytes", "params_offset_bytes", "kernel_hw", "stride_hw", "dilation_hw", "pads_tlbr", "groups", "upsample_hw", "clamp", "pad_code", "addend", "factors")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARAMS_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_HW_FIELD_NUMBER: _ClassVar[int]
    STRIDE_HW_FIELD_NUMBER: _ClassVar[int]
    DILATION_HW_FIELD_NUMBER: _ClassVar[int]
    PADS_TLBR_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    UPSAMPLE_HW_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    PAD_CODE_FIELD_NUMBER: _ClassVar[int]
    ADDEND_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    x: Tile
    y: Tile
    weights_offset_bytes: int
    params_offset_bytes: int
    kernel_hw: _containers.RepeatedScalarFieldContainer[int]
    stride_hw: _containers.RepeatedScalarFieldContainer[int]
    dilation_hw: _containers.RepeatedScalarFieldContainer[int]
    pads_tlbr: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    upsample_hw: _containers.RepeatedScalarFieldContainer[int]
    clamp: _containers.RepeatedScalarFieldContainer[int]
    pad_code: int
    addend: Tile
    factors: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ..., weights_offset_bytes: _Optional[int] = ..., params_offset_bytes: _Optional[int] = ..., kernel_hw: _Optional[_Iterable[int]] = ..., stride_hw: _Optional[_Iterable[int]] = ..., dilation_hw: _Optional[_Iterable[int]] = ..., pads_tlbr: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., upsample_hw: _Optional[_Iterable[int]] = ..., clamp: _Optional[_Iterable[int]] = ..., pad_code: _Optional[int] = ..., addend: _Optional[_Union[Tile, _Mapping]] = ..., factors: _Optional[_Iterable[int]] = ...) -> None: ...

class MaxPool(_message.Message):
    __slots__ = ("x", "y", "kernel_hw", "stride_hw", "pads_tlbr")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    KERNEL_HW_FIELD_NUMBER: _ClassVar[int]
    STRIDE_HW_FIELD_NUMBER: _ClassVar[int]
    PADS_TLBR_FIELD_NUMBER: _ClassVar[int]
    x: Tile
    y: Tile
    kernel_hw: _containers.RepeatedScalarFieldContainer[int]
    stride_hw: _containers.RepeatedScalarFieldContainer[int]
    pads_tlbr: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ..., kernel_hw: _Optional[_Iterable[int]] = ..., stride_hw: _Optional[_Iterable[int]] = ..., pads_tlbr: _Optional[_Iterable[int]] = ...) -> None: ...

class EltwiseEntry(_message.Message):
    __slots__ = ("ka", "kb", "requant")
    KA_FIELD_NUMBER: _ClassVar[int]
    KB_FIELD_NUMBER: _ClassVar[int]
    REQUANT_FIELD_NUMBER: _ClassVar[int]
    ka: int
    kb: int
    requant: Requant
    def __init__(self, ka: _Optional[int] = ..., kb: _Optional[int] = ..., requant: _Optional[_Union[Requant, _Mapping]] = ...) -> None: ...

class Eltwise(_message.Message):
    __slots__ = ("kind", "a", "b", "y", "entries", "clamp", "zeros")
    KIND_FIELD_NUMBER: _ClassVar[int]
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CLAMP_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    kind: EltwiseKind
    a: Tile
    b: Tile
    y: Tile
    entries: _containers.RepeatedCompositeFieldContainer[EltwiseEntry]
    clamp: _containers.RepeatedScalarFieldContainer[int]
    zeros: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[_Union[EltwiseKind, str]] = ..., a: _Optional[_Union[Tile, _Mapping]] = ..., b: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[EltwiseEntry, _Mapping]]] = ..., clamp: _Optional[_Iterable[int]] = ..., zeros: _Optional[_Iterable[int]] = ...) -> None: ...

class Lut(_message.Message):
    __slots__ = ("x", "y", "table_offset_bytes", "table_count")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    TABLE_OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    TABLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    x: Tile
    y: Tile
    table_offset_bytes: int
    table_count: int
    def __init__(self, x: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ..., table_offset_bytes: _Optional[int] = ..., table_count: _Optional[int] = ...) -> None: ...

class Axis(_message.Message):
    __slots__ = ("low", "high", "frac")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    FRAC_FIELD_NUMBER: _ClassVar[int]
    low: _containers.RepeatedScalarFieldContainer[int]
    high: _containers.RepeatedScalarFieldContainer[int]
    frac: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, low: _Optional[_Iterable[int]] = ..., high: _Optional[_Iterable[int]] = ..., frac: _Optional[_Iterable[int]] = ...) -> None: ...

class Resize(_message.Message):
    __slots__ = ("mode", "x", "y", "rows", "columns")
    MODE_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    mode: ResizeMode
    x: Tile
    y: Tile
    rows: Axis
    columns: Axis
    def __init__(self, mode: _Optional[_Union[ResizeMode, str]] = ..., x: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ..., rows: _Optional[_Union[Axis, _Mapping]] = ..., columns: _Optional[_Union[Axis, _Mapping]] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: Tile
    y: Tile
    def __init__(self, x: _Optional[_Union[Tile, _Mapping]] = ..., y: _Optional[_Union[Tile, _Mapping]] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("y", "value")
    Y_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    y: Tile
    value: int
    def __init__(self, y: _Optional[_Union[Tile, _Mapping]] = ..., value: _Optional[int] = ...) -> None: ...

class AwaitStream(_message.Message):
    __slots__ = ("engine", "stream", "instruction")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    engine: Engine
    stream: int
    instruction: int
    def __init__(self, engine: _Optional[_Union[Engine, str]] = ..., stream: _Optional[int] = ..., instruction: _Optional[int] = ...) -> None: ...

class Instruction(_message.Message):
    __slots__ = ("operation", "waits", "load", "load_image", "load_roi", "load_const", "store", "conv", "max_pool", "eltwise", "lut", "resize", "move", "fill", "await_stream")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LOAD_IMAGE_FIELD_NUMBER: _ClassVar[int]
    LOAD_ROI_FIELD_NUMBER: _ClassVar[int]
    LOAD_CONST_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    CONV_FIELD_NUMBER: _ClassVar[int]
    MAX_POOL_FIELD_NUMBER: _ClassVar[int]
    ELTWISE_FIELD_NUMBER: _ClassVar[int]
    LUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    AWAIT_STREAM_FIELD_NUMBER: _ClassVar[int]
    operation: int
    waits: _containers.RepeatedScalarFieldContainer[int]
    load: Load
    load_image: LoadImage
    load_roi: LoadRoi
    load_const: LoadConst
    store: Store
    conv: Conv
    max_pool: MaxPool
    eltwise: Eltwise
    lut: Lut
    resize: Resize
    move: Move
    fill: Fill
    await_stream: AwaitStream
    def __init__(self, operation: _Optional[int] = ..., waits: _Optional[_Iterable[int]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., load_image: _Optional[_Union[LoadImage, _Mapping]] = ..., load_roi: _Optional[_Union[LoadRoi, _Mapping]] = ..., load_const: _Optional[_Union[LoadConst, _Mapping]] = ..., store: _Optional[_Union[Store, _Mapping]] = ..., conv: _Optional[_Union[Conv, _Mapping]] = ..., max_pool: _Optional[_Union[MaxPool, _Mapping]] = ..., eltwise: _Optional[_Union[Eltwise, _Mapping]] = ..., lut: _Optional[_Union[Lut, _Mapping]] = ..., resize: _Optional[_Union[Resize, _Mapping]] = ..., move: _Optional[_Union[Move, _Mapping]] = ..., fill: _Optional[_Union[Fill, _Mapping]] = ..., await_stream: _Optional[_Union[AwaitStream, _Mapping]] = ...) -> None: ...

class Stream(_message.Message):
    __slots__ = ("instructions",)
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    instructions: _containers.RepeatedCompositeFieldContainer[Instruction]
    def __init__(self, instructions: _Optional[_Iterable[_Union[Instruction, _Mapping]]] = ...) -> None: ...

class FunctionCall(_message.Message):
    __slots__ = ("name", "streams", "predicted_cycles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CYCLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    streams: _containers.RepeatedCompositeFieldContainer[Stream]
    predicted_cycles: int
    def __init__(self, name: _Optional[str] = ..., streams: _Optional[_Iterable[_Union[Stream, _Mapping]]] = ..., predicted_cycles: _Optional[int] = ...) -> None: ...

class IoSlot(_message.Message):
    __slots__ = ("tensor", "offset_bytes", "size_bytes", "frame_pitch_bytes")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FRAME_PITCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    tensor: str
    offset_bytes: int
    size_bytes: int
    frame_pitch_bytes: int
    def __init__(self, tensor: _Optional[str] = ..., offset_bytes: _Optional[int] = ..., size_bytes: _Optional[int] = ..., frame_pitch_bytes: _Optional[int] = ...) -> None: ...

class RoiInput(_message.Message):
    __slots__ = ("tensor", "input_type", "height", "width")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    tensor: str
    input_type: InputType
    height: int
    width: int
    def __init__(self, tensor: _Optional[str] = ..., input_type: _Optional[_Union[InputType, str]] = ..., height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("calls", "inputs", "outputs", "sram_bytes", "scratch_bytes", "io_bytes", "frames", "rois")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SRAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    SCRATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    IO_BYTES_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    ROIS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[FunctionCall]
    inputs: _containers.RepeatedCompositeFieldContainer[IoSlot]
    outputs: _containers.RepeatedCompositeFieldContainer[IoSlot]
    sram_bytes: int
    scratch_bytes: int
    io_bytes: int
    frames: int
    rois: _containers.RepeatedCompositeFieldContainer[RoiInput]
    def __init__(self, calls: _Optional[_Iterable[_Union[FunctionCall, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[IoSlot, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[IoSlot, _Mapping]]] = ..., sram_bytes: _Optional[int] = ..., scratch_bytes: _Optional[int] = ..., io_bytes: _Optional[int] = ..., frames: _Optional[int] = ..., rois: _Optional[_Iterable[_Union[RoiInput, _Mapping]]] = ...) -> None: ...
