"""Every damaged, forged or foreign file gives ModelFormatError: no crash, no hang, no blow-up."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common import container
from bpu_common.container.layout import (
    ENTRY_BYTES,
    HEADER_BYTES,
    MAJOR,
    MAX_FILE_BYTES,
    Section,
    pack,
    unpack,
)
from bpu_common.errors import InputError, ModelFormatError
from bpu_common.manifest import SectionKind
from tests.support.models_wire import small_model

ROOT = Path(__file__).parents[2]
DATA = container.dump([small_model("a"), small_model("b", seed=3)])
SECTIONS = unpack(memoryview(DATA))


def refused(data: bytes) -> ModelFormatError:
    with pytest.raises(ModelFormatError) as caught:
        container.loads(data)
    return caught.value


def sealed(data: bytearray) -> bytes:
    """The file with the checksums of its table and header made right again."""
    count = struct.unpack_from("<I", data, 12)[0]
    table = data[HEADER_BYTES : HEADER_BYTES + ENTRY_BYTES * min(count, 4096)]
    struct.pack_into("<I", data, 24, zlib.crc32(table))
    struct.pack_into("<I", data, HEADER_BYTES - 4, zlib.crc32(data[: HEADER_BYTES - 4]))
    return bytes(data)


@given(st.integers(0, len(DATA) - 1))
@settings(max_examples=300)
def test_truncation(length: int) -> None:
    refused(DATA[:length])


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
@settings(max_examples=600)
def test_one_changed_byte(position: int, change: int) -> None:
    data = bytearray(DATA)
    data[position] ^= change
    refused(bytes(data))


@given(st.binary(max_size=300))
def test_trailing_bytes(tail: bytes) -> None:
    if tail:
        refused(DATA + tail)


@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    refused(data)


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_right_header(data: bytes) -> None:
    refused(DATA[:HEADER_BYTES] + data)


@given(
    st.integers(0, len(SECTIONS) - 1),
    st.sampled_from([0, 8, 20]),
    st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2 * len(DATA))),
)
@settings(max_examples=400)
def test_a_forged_table_entry(index: int, field: int, value: int) -> None:
    """Offsets, sizes and kinds that lie, with right checksums around them."""
    data = bytearray(DATA)
    at = HEADER_BYTES + ENTRY_BYTES * index + field
    width = "<I" if field == 20 else "<Q"
    value &= 2 ** (8 * struct.calcsize(width)) - 1
    if struct.unpack_from(width, data, at)[0] == value:
        return
    struct.pack_into(width, data, at, value)
    error = refused(sealed(data))
    assert "section" in str(error) or "offset" in str(error)


@given(st.sampled_from([8, 12, 16]), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_a_forged_header(at: int, value: int) -> None:
    data = bytearray(DATA)
    if struct.unpack_from("<I", data, at)[0] == value or (at == 8 and value & 0xFFFF == MAJOR):
        return
    struct.pack_into("<I", data, at, value)
    refused(sealed(data))


def swapped(index: int, content: bytes) -> bytes:
    """The file with other content, rightly checksummed, in one section."""
    sections = list(SECTIONS)
    sections[index] = Section(sections[index].kind, content)
    return pack(sections)


def survives(data: bytes) -> None:
    """Loads, or is refused in the one way that callers expect."""
    try:
        models = container.loads(data)
    except ModelFormatError:
        return
    assert container.loads(container.dump(models))


OPEN = [
    index
    for index, section in enumerate(SECTIONS)
    if section.kind in {SectionKind.MANIFEST, SectionKind.PROGRAM, SectionKind.NETWORK}
]


@given(st.data())
@settings(max_examples=1200, deadline=None)
def test_forged_messages(data: st.DataObject) -> None:
    """A manifest, program or network changed in a few bytes, with right checksums."""
    index = data.draw(st.sampled_from(OPEN))
    content = bytearray(SECTIONS[index].data)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    survives(swapped(index, bytes(content)))


@given(st.sampled_from(OPEN), st.binary(max_size=200), st.integers(0, 3000), st.integers(0, 50))
@settings(max_examples=300, deadline=None)
def test_spliced_messages(index: int, new: bytes, at: int, removed: int) -> None:
    content = bytes(SECTIONS[index].data)
    at = min(at, len(content))
    survives(swapped(index, content[:at] + new + content[at + removed :]))


def test_a_section_nobody_refers_to() -> None:
    error = refused(pack([*SECTIONS, Section(SectionKind.WEIGHTS, b"hidden")]))
    assert error.where == f"section[{len(SECTIONS)}]"


def test_bytes_of_no_operation_behind_the_weights() -> None:
    [(_, made)] = small_model("a").bpu_parts
    index = next(i for i, s in enumerate(SECTIONS) if bytes(s.data) == made.weights)
    error = refused(swapped(index, made.weights + bytes(64)))
    assert "not those of the operations alone" in error.message
    assert error.where == "model[0].program 'a_subgraph_0'"


def test_a_manifest_that_is_not_the_first() -> None:
    refused(pack([SECTIONS[1], *SECTIONS[2:], SECTIONS[0]]))
    refused(pack([*SECTIONS, SECTIONS[0]]))


@pytest.mark.parametrize(("version", "hint"), [(1, "convert the model again"), (3, "OpenBPU")])
def test_another_version_says_so(version: int, hint: str) -> None:
    data = bytearray(DATA)
    struct.pack_into("<H", data, 8, version)
    error = refused(sealed(data))
    assert f"version {version}.0" in error.message
    assert hint in error.hint


def test_a_file_over_the_limit_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse
    with pytest.raises(ModelFormatError, match="at most"):
        container.load(path)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        ("PROGRAM", b"\x0a\x00"),  # empty function calls
        ("PROGRAM", b"\x0a\x02\x12\x00"),  # each with an empty stream
        (
            "PROGRAM",
            b"\x0a\xee\x07\x12\xeb\x07\x0a\xe8\x07\x12\xe5\x07" + bytes(997),
        ),  # full of waits
        ("MANIFEST", b"\x0a\x00"),  # empty models
        ("MANIFEST", b"\x0a\x02\x3a\x00"),  # each with an empty node
        ("NETWORK", b"\x12\x00"),  # empty tensors
        ("NETWORK", b"\x2a\x02\x1a\x00"),  # parts, each with an empty operation
    ],
)
def test_a_small_file_cannot_ask_for_much_memory(kind: str, unit: bytes, tmp_path: Path) -> None:
    """16 MiB of empty messages would unfold to more than a gigabyte."""
    path = tmp_path / "bomb.bin"
    bomb = Section(SectionKind[kind], unit * ((16 << 20) // len(unit)))
    index = next(i for i, s in enumerate(SECTIONS) if s.kind is bomb.kind)
    path.write_bytes(pack([*SECTIONS[:index], bomb, *SECTIONS[index + 1 :]]))
    code = (
        "import resource, sys\n"
        "from bpu_common import container\n"
        "from bpu_common.errors import ModelFormatError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    container.load(sys.argv[1])\n"
        "except ModelFormatError as error:\n    assert 'fields' in str(error), error\n"
        "else:\n    raise SystemExit('loaded')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 128 * 1024  # KiB


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "an empty file"),
        (b"\x89BPU\r\n", "cut off"),
        (DATA.replace(b"\r\n", b"\n", 1), "text mode"),
        (b"\x7fELF\x02\x01\x01" + bytes(60) + b"hbdk" + bytes(60), "vendor"),
        (bytes(32) + b"HBRT" + bytes(100), "vendor"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "ELF"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\x93NUMPY\x01\x00" + bytes(40), "NumPy"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
        (b"\x08\x08\x12\x07pytorch" + bytes(40), "ONNX"),
        (b"\x08\x07:\xff\x01Conv" + bytes(40), "ONNX"),
        (b"\x00\x01\x02\x03" * 100, "unknown kind"),
    ],
)
def test_foreign_files_are_named(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(data)
    with pytest.raises(ModelFormatError) as caught:
        container.load(path)
    assert says in caught.value.message
    assert str(path) in caught.value.where
    assert caught.value.hint


def test_no_waiting_for_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(InputError, match="no regular file"):
        container.load(tmp_path / "pipe.bin")
