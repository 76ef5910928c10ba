"""The C interface of the kernels, as `src/abi.hpp` declares it."""

from __future__ import annotations

import ctypes as c
import enum

ABI = 2
"""Of the interface this package speaks; a library with another is not used."""


class Kind(enum.IntEnum):
    """What an operation of a plan does; `src/abi.hpp` says how each reads its fields."""

    INPUT = 0
    OUTPUT = 1
    BORDER = 2
    FILL = 3
    WIDEN = 4
    CONV = 5
    DEPTHWISE = 6
    CHANNELWISE = 7
    MIX = 8
    REQUANT = 9
    ELTWISE = 10
    ADD = 11
    MULTIPLY = 12
    POOL = 13
    LUT = 14
    RESIZE = 15
    COPY = 16


class TensorSpec(c.Structure):
    """A tensor in a frame's arena, or a view of one."""

    _fields_ = (
        ("at", c.c_int64),
        ("row", c.c_int64),
        ("pitch", c.c_int32),
        ("height", c.c_int32),
        ("width", c.c_int32),
        ("channels", c.c_int32),
        ("zero", c.c_int32),
        ("item", c.c_int32),
    )


_PAIR = c.c_int32 * 2


class OpSpec(c.Structure):
    """An operation of a plan; pointers are read while the plan is made and not after."""

    _fields_ = (
        ("kind", c.c_int32),
        ("x", c.c_int32),
        ("y", c.c_int32),
        ("z", c.c_int32),
        ("kernel", _PAIR),
        ("stride", _PAIR),
        ("dilation", _PAIR),
        ("pads", _PAIR),
        ("edges", c.c_int32 * 4),
        ("lo", c.c_int32),
        ("hi", c.c_int32),
        ("slot", c.c_int32),
        ("value", c.c_int32),
        ("mode", c.c_int32),
        ("count", c.c_int32),
        ("steps", _PAIR),
        ("zeros", _PAIR),
        ("weights", c.c_void_p),
        ("bias", c.c_void_p),
        ("right", c.c_void_p),
        ("multiplier", c.c_void_p),
        ("out", c.c_void_p),
        ("factors", c.c_void_p),
        ("more_factors", c.c_void_p),
        ("tables", c.c_void_p),
        ("positions", c.c_void_p),
    )


LAYOUT = (ABI, c.sizeof(TensorSpec), c.sizeof(OpSpec), len(Kind))
"""What `kernels_layout` must answer."""


def declare(library: c.CDLL) -> None:
    """Give the functions their types.

    Raises:
        AttributeError: the library lacks one.
    """
    pointers = c.POINTER(c.c_void_p)
    library.kernels_layout.argtypes = (c.POINTER(c.c_int32),)
    library.kernels_layout.restype = None
    library.kernels_built.restype = c.c_char_p
    library.kernels_runs.argtypes = (c.c_char_p,)
    library.kernels_widens.argtypes = (c.c_char_p,)
    library.plan_new.argtypes = (
        c.c_char_p, c.POINTER(TensorSpec), c.c_int, c.POINTER(OpSpec), c.c_int, c.c_int64,
    )  # fmt: skip
    library.plan_new.restype = c.c_void_p
    library.plan_free.argtypes = (c.c_void_p,)
    library.plan_free.restype = None
    library.plan_bytes.argtypes = (c.c_void_p,)
    library.plan_bytes.restype = c.c_int64
    library.frame_bytes.argtypes = (c.c_void_p, c.c_int)
    library.frame_bytes.restype = c.c_int64
    library.frame_new.argtypes = (c.c_void_p, c.c_int, c.c_void_p)
    library.frame_new.restype = c.c_void_p
    library.frame_free.argtypes = (c.c_void_p,)
    library.frame_free.restype = None
    library.frame_run.argtypes = (c.c_void_p, pointers, pointers, c.c_int)
    library.frame_run.restype = None
    library.frame_profile.argtypes = (c.c_void_p, c.POINTER(c.c_double))
    library.frame_profile.restype = None
    library.magnitude_highest.argtypes = (c.c_void_p, c.c_int64)
    library.magnitude_highest.restype = c.c_int32
    library.magnitude_count.argtypes = (
        c.c_void_p, c.c_int64, c.c_int32, c.c_int32, c.c_void_p,
    )  # fmt: skip
    library.magnitude_count.restype = None
