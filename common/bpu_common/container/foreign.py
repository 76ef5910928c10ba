"""Saying what a file that is not an OpenBPU `.bin` probably is."""

from __future__ import annotations

from typing import NoReturn

from bpu_common.errors import ModelFormatError

_CONVERT = "convert the float model with `hb_mapper makertbin` of OpenBPU"
_SCAN_BYTES = 1 << 20

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive (a PyTorch or NumPy file, perhaps)", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", "give the model file, not an input"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the model file, not an input"),
    (b"\x89PNG", "a PNG picture", "give the model file, not an input"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"<", "a web page or XML (a failed download, perhaps)", "fetch the file again"),
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself", "run `git lfs pull`"),
)
_ONNX_MARKS = (b"onnx", b"pytorch", b"graph", b"Conv", b"Gemm", b"MatMul")
"""Producers, and the operators that a network worth converting holds."""
_VENDOR_MARKS = (
    b"hbm",
    b"HBM",
    b"hbrt",
    b"HBRT",
    b"hbdk",
    b"HBDK",
    b"HorizonRT",
    b"bernoulli",
    b"HORIZON",
)


def refuse_foreign(data: memoryview, magic: bytes) -> NoReturn:
    """Raise the ModelFormatError that fits a file which does not begin with `magic`."""
    head = bytes(data[:_SCAN_BYTES])
    what, hint = _guess(head, magic)
    raise ModelFormatError(f"not an OpenBPU model: this is {what}", where="@0x0", hint=hint)


def _guess(head: bytes, magic: bytes) -> tuple[str, str]:
    if not head:
        return "an empty file", "copy or convert the model again"
    if magic.startswith(head):
        return "the first bytes of one, cut off", "copy the file again"
    if head[:4] == magic[:4] or head[:3] == magic[1:4] or head[1:4] == magic[1:4]:
        return (
            "one damaged by a transfer in text mode or by a rewritten first line",
            "copy the file again in binary mode",
        )
    for start, what, hint in _STARTS:
        if head.startswith(start):
            return what, hint
    if any(mark in head for mark in _VENDOR_MARKS):
        return (
            "probably a model of the chip vendor's own toolchain (.bin or .hbm), for a real board",
            _CONVERT,
        )
    if head.startswith(b"\x7fELF"):
        return (
            "an ELF file: a program or library, or a model of the vendor's toolchain",
            _CONVERT,
        )
    if head[0] == 0x08 and any(mark in head for mark in _ONNX_MARKS):
        return "probably an ONNX model that has not been converted yet", _CONVERT
    return (
        "of an unknown kind; a .bin of raw values, or a model of another toolchain, perhaps",
        _CONVERT,
    )
