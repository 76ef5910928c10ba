from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainedNetwork(_message.Message):
    __slots__ = ("name", "layers", "layer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    layers: _containers.RepeatedCompositeFieldContainer[TrainedV1Layer]
    layer: _containers.RepeatedCompositeFieldContainer[TrainedLayer]
    def __init__(self, name: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[TrainedV1Layer, _Mapping]]] = ..., layer: _Optional[_Iterable[_Union[TrainedLayer, _Mapping]]] = ...) -> None: ...

class TrainedLayer(_message.Message):
    __slots__ = ("name", "type", "blobs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    blobs: _containers.RepeatedCompositeFieldContainer[Blob]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., blobs: _Optional[_Iterable[_Union[Blob, _Mapping]]] = ...) -> None: ...

class TrainedV1Layer(_message.Message):
    __slots__ = ("name", "blobs", "layer")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    blobs: _containers.RepeatedCompositeFieldContainer[Blob]
    layer: TrainedV0Layer
    def __init__(self, name: _Optional[str] = ..., blobs: _Optional[_Iterable[_Union[Blob, _Mapping]]] = ..., layer: _Optional[_Union[TrainedV0Layer, _Mapping]] = ...) -> None: ...

class TrainedV0Layer(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("num", "channels", "height", "width", "data", "shape", "double_data", "raw_data_type", "raw_data")
    class RawType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DOUBLE: _ClassVar[Blob.RawType]
        FLOAT: _ClassVar[Blob.RawType]
        FLOAT16: _ClassVar[Blob.RawType]
        INT: _ClassVar[Blob.RawType]
        UINT: _ClassVar[Blob.RawType]
    DOUBLE: Blob.RawType
    FLOAT: Blob.RawType
    FLOAT16: Blob.RawType
    INT: Blob.RawType
    UINT: Blob.RawType
    NUM_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_DATA_FIELD_NUMBER: _ClassVar[int]
    RAW_DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    RAW_DATA_FIELD_NUMBER: _ClassVar[int]
    num: int
    channels: int
    height: int
    width: int
    data: _containers.RepeatedScalarFieldContainer[bytes]
    shape: Shape
    double_data: _containers.RepeatedScalarFieldContainer[bytes]
    raw_data_type: Blob.RawType
    raw_data: bytes
    def __init__(self, num: _Optional[int] = ..., channels: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., data: _Optional[_Iterable[bytes]] = ..., shape: _Optional[_Union[Shape, _Mapping]] = ..., double_data: _Optional[_Iterable[bytes]] = ..., raw_data_type: _Optional[_Union[Blob.RawType, str]] = ..., raw_data: _Optional[bytes] = ...) -> None: ...

class Shape(_message.Message):
    __slots__ = ("dim",)
    DIM_FIELD_NUMBER: _ClassVar[int]
    dim: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, dim: _Optional[_Iterable[int]] = ...) -> None: ...
