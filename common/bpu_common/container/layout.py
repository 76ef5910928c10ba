"""The outer form of a `.bin`: header, section table, aligned sections (docs/bin-format.md).

A file has one legal form: sections follow each other in table order, each at the next multiple of
64, gaps are zero, and nothing stands behind the last one. Every byte is therefore covered by a
checksum or known to be zero, overlaps cannot be expressed, and equal content gives equal bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.container.foreign import refuse_foreign
from bpu_common.errors import CapacityError, ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.model import Bytes
from bpu_common.tensor import align_up

MAGIC = b"\x89BPU\r\n\x1a\n"
"""Not text, not ELF; damaged by any transfer that rewrites line ends or strips the eighth bit."""

MAJOR, MINOR = 2, 0
ALIGN = 64
MAX_FILE_BYTES = 1 << 30
MAX_SECTIONS = 4096
MAX_MANIFEST_BYTES = 16 << 20
MAX_PROGRAM_BYTES = 64 << 20
MAX_NETWORK_BYTES = 64 << 20
MAX_HINTS_BYTES = 64 << 20

_HEADER = struct.Struct("<8sHHIQI32x")  # magic, major, minor, sections, file size, table crc
_CRC = struct.Struct("<I")  # of the header before it and the table behind it
_ENTRY = struct.Struct("<QQII8x")  # offset, size, crc32, kind
HEADER_BYTES = _HEADER.size + _CRC.size
ENTRY_BYTES = _ENTRY.size
assert (HEADER_BYTES, ENTRY_BYTES) == (64, 32)
_KINDS = frozenset(SectionKind)
_MOST_BYTES: dict[int, int] = {
    SectionKind.MANIFEST: MAX_MANIFEST_BYTES,
    SectionKind.PROGRAM: MAX_PROGRAM_BYTES,
    SectionKind.NETWORK: MAX_NETWORK_BYTES,
    SectionKind.HINTS: MAX_HINTS_BYTES,
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the file; read ones are views of the file's bytes.

    Attributes:
        kind: a number that this version does not know is kept, since what the manifest says of
            features explains it better.
    """

    kind: SectionKind | int
    data: Bytes


def pack(sections: Sequence[Section]) -> bytes:
    """The file that holds `sections`; the first must be the manifest.

    Raises:
        CapacityError: more or bigger sections than the format allows.
    """
    if len(sections) > MAX_SECTIONS:
        raise CapacityError(f"{len(sections)} sections, a .bin holds at most {MAX_SECTIONS}")
    table_end = HEADER_BYTES + ENTRY_BYTES * len(sections)
    offset = end = table_end
    entries = []
    for index, section in enumerate(sections):
        size = _size(section.data)
        _check_section_size(section.kind, size, index)
        offset = align_up(end, ALIGN)
        end = offset + size
        entries.append(_ENTRY.pack(offset, size, zlib.crc32(section.data), section.kind))
    if end > MAX_FILE_BYTES:
        raise CapacityError(f"the model needs {end} bytes, a .bin holds at most {MAX_FILE_BYTES}")
    table = b"".join(entries)
    header = _HEADER.pack(MAGIC, MAJOR, MINOR, len(sections), end, zlib.crc32(table))
    parts: list[Bytes] = [header, _CRC.pack(zlib.crc32(header)), table]
    position = table_end
    for section in sections:
        gap = align_up(position, ALIGN) - position
        parts.extend((bytes(gap), section.data))
        position += gap + _size(section.data)
    return b"".join(parts)


def unpack(data: memoryview) -> tuple[Section, ...]:
    """The sections of a file as views of `data`, checksums and form verified.

    Raises:
        ModelFormatError: anything but a whole, undamaged file of a version this program reads.
    """
    count = _read_header(data)
    sections = []
    end = HEADER_BYTES + ENTRY_BYTES * count
    for index in range(count):
        where = f"section[{index}]"
        at = HEADER_BYTES + ENTRY_BYTES * index
        offset, size, crc, kind_number = _ENTRY.unpack_from(data, at)
        if any(data[at + 24 : at + ENTRY_BYTES]):
            raise ModelFormatError("reserved bytes are not zero", where=f"{where} @{at + 24:#x}")
        kind = SectionKind(kind_number) if kind_number in _KINDS else kind_number
        if (kind is SectionKind.MANIFEST) != (index == 0):
            raise ModelFormatError("the manifest must be the first section, once", where=where)
        if offset != align_up(end, ALIGN) or offset + size > len(data):
            raise ModelFormatError(
                f"offset {offset} and size {size} do not follow the section before it "
                f"(which ends at {end}) within {len(data)} bytes",
                where=where,
            )
        _check_section_size(kind, size, index)
        if any(data[end:offset]):
            raise ModelFormatError(
                "bytes between sections are not zero", where=f"{where} @{end:#x}"
            )
        end = offset + size
        section = data[offset:end]
        if zlib.crc32(section) != crc:
            raise ModelFormatError(
                "checksum does not match: the file is damaged",
                where=f"{where} @{offset:#x}",
                hint="copy or convert the model again",
            )
        sections.append(Section(kind, section))
    if end != len(data):
        raise ModelFormatError(
            f"{len(data) - end} bytes behind the last section", where=f"@{end:#x}"
        )
    return tuple(sections)


def _read_header(data: memoryview) -> int:
    """Check the header and the table's checksum; return the number of sections."""
    if bytes(data[: len(MAGIC)]) != MAGIC:
        refuse_foreign(data, MAGIC)
    if len(data) < HEADER_BYTES:
        raise ModelFormatError(f"the file ends after {len(data)} bytes, within its header")
    _, major, minor, count, file_bytes, table_crc = _HEADER.unpack_from(data)
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise ModelFormatError("checksum of the header does not match", where="@0x0")
    if major != MAJOR:
        raise ModelFormatError(
            f"format version {major}.{minor}, this program reads {MAJOR}.x",
            hint="convert the model again with this version"
            if major < MAJOR
            else "use the OpenBPU version that made the model",
        )
    if file_bytes != len(data):
        raise ModelFormatError(
            f"the header says {file_bytes} bytes, the file has {len(data)}: it is cut or grown",
            hint="copy the file again",
        )
    if file_bytes > MAX_FILE_BYTES or not 1 <= count <= MAX_SECTIONS:
        raise ModelFormatError(
            f"{file_bytes} bytes in {count} sections; allowed are {MAX_FILE_BYTES} bytes in "
            f"1 to {MAX_SECTIONS}",
            where="@0x8",
        )
    table = data[HEADER_BYTES : HEADER_BYTES + ENTRY_BYTES * count]
    if len(table) != ENTRY_BYTES * count:
        raise ModelFormatError("the file ends within its section table")
    if zlib.crc32(table) != table_crc:
        raise ModelFormatError("checksum of the section table does not match", where="@0x40")
    return int(count)


def _check_section_size(kind: SectionKind | int, size: int, index: int) -> None:
    most = _MOST_BYTES.get(kind, MAX_FILE_BYTES)
    if size > most:
        what = kind.name.lower() if isinstance(kind, SectionKind) else "section"
        raise ModelFormatError(
            f"{what} of {size} bytes, at most {most} are allowed",
            where=f"section[{index}]",
        )


def _size(data: Bytes) -> int:
    return data.nbytes if isinstance(data, memoryview) else len(data)
