"""What is written is read back, from the same bytes, without copies."""

from __future__ import annotations

import hashlib
import mmap
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.container.layout import (
    ALIGN,
    ENTRY_BYTES,
    HEADER_BYTES,
    MAGIC,
    MAX_MANIFEST_BYTES,
    MAX_SECTIONS,
    Section,
    pack,
)
from bpu_common.errors import CapacityError, InputError, ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.model import BpuModel, PartProgram
from bpu_common.network import QConv, QLut
from tests.support.models_wire import small_model
from tests.support.values_wire import same

ROOT = Path(__file__).parents[2]


def equal(read: BpuModel, model: BpuModel) -> bool:
    """Every field, sections by their bytes."""
    return same(
        replace(read, programs=_in_bytes(read), hints={k: bytes(v) for k, v in read.hints.items()}),
        model,
    )


def _in_bytes(model: BpuModel) -> dict[str, PartProgram]:
    return {k: replace(made, weights=bytes(made.weights)) for k, made in model.programs.items()}


def test_round_trip_of_every_field() -> None:
    model = small_model()
    assert equal(*container.loads(container.dump([model])), model)


def test_pack_keeps_order_and_shares_equal_sections() -> None:
    one, two = small_model("one"), small_model("two")
    [(_, made)] = one.bpu_parts
    pack = container.dump([one, two])
    assert all(map(equal, container.loads(pack), (one, two)))
    assert pack.count(bytes(made.weights)) == 1
    assert [model.name for model in container.loads(container.dump([two, one]))] == ["two", "one"]


def test_same_models_same_bytes_in_any_process() -> None:
    code = (
        "import sys; from bpu_common import container; from tests.support.models_wire import "
        "small_model; sys.stdout.write(container.digest(container.dump([small_model()])))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {container.digest(container.dump([small_model()]))}


def test_reading_and_writing_again_changes_nothing() -> None:
    data = container.dump([small_model("a"), small_model("b", seed=1)])
    assert container.dump(container.loads(data)) == data


def test_sections_are_aligned_and_gaps_are_zero() -> None:
    data = container.dump([small_model()])
    assert data.startswith(MAGIC)
    count = int.from_bytes(data[12:16], "little")
    end = HEADER_BYTES + ENTRY_BYTES * count
    for index in range(count):
        at = HEADER_BYTES + ENTRY_BYTES * index
        offset, size = (int.from_bytes(data[at + k : at + k + 8], "little") for k in (0, 8))
        assert offset % ALIGN == 0
        assert offset - end < ALIGN
        assert not any(data[end:offset])
        end = offset + size
    assert end == len(data)


def test_loaded_weights_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "net.bin"
    path.write_bytes(container.dump([small_model()]))
    (model,) = container.load(path)
    [(part, made)] = model.bpu_parts
    for view in (made.weights, model.hints["ort"]):
        assert isinstance(view, memoryview)
        assert isinstance(view.obj, mmap.mmap)
        assert view.readonly
    stored = np.frombuffer(made.weights, np.uint8)
    assert stored.ctypes.data % ALIGN == 0
    arrays = [op.weights for op in part.ops if isinstance(op, QConv)]
    arrays += [op.tables for op in part.ops if isinstance(op, QLut)]
    for values in (stored, *arrays):
        assert not values.flags.owndata
        assert np.may_share_memory(values, stored)
    path.unlink()  # the mapping outlives the name
    assert equal(model, small_model())


def test_digest_is_sha256_of_the_file(tmp_path: Path) -> None:
    data = container.dump([small_model()])
    path = tmp_path / "net.bin"
    path.write_bytes(data)
    assert container.digest(path) == container.digest(data) == hashlib.sha256(data).hexdigest()
    with pytest.raises(InputError, match="cannot read"):
        container.digest(tmp_path / "missing")


def test_dump_refuses_what_could_not_be_loaded() -> None:
    with pytest.raises(ModelFormatError, match="0 models"):
        container.dump([])
    with pytest.raises(ModelFormatError, match="called 'net'"):
        container.dump([small_model(), small_model()])
    bad = replace(small_model(), machine="x9")
    with pytest.raises(ModelFormatError, match="x9"):
        container.dump([bad])


def test_limits_of_the_format() -> None:
    sections = [Section(SectionKind.WEIGHTS, b"")] * (MAX_SECTIONS + 1)
    with pytest.raises(CapacityError, match=str(MAX_SECTIONS)):
        pack(sections)
    manifest = Section(SectionKind.MANIFEST, bytes(MAX_MANIFEST_BYTES + 1))
    with pytest.raises(ModelFormatError, match=r"at most .* allowed"):
        pack([manifest])


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.bin", tmp_path):
        with pytest.raises(InputError) as caught:
            container.load(path)
        assert caught.value.where == str(path)
