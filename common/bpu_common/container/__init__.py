"""The `.bin`: compiled models as bytes, and back. Format: docs/bin-format.md.

The same models give the same bytes. A file is checked completely before anything of it is used; its
weights stay views of the mapped file.
"""

from __future__ import annotations

import hashlib
import mmap
import stat
from collections.abc import Sequence
from pathlib import Path

from bpu_common.container.budget import DescriptionBudget
from bpu_common.container.check_model import check_models
from bpu_common.container.layout import MAX_FILE_BYTES, pack, unpack
from bpu_common.container.sections import read_models, write_sections
from bpu_common.errors import InputError, ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.model import BpuModel

__all__ = ["digest", "dump", "load", "loads"]

_HASH_BLOCK_BYTES = 1 << 20


def dump(models: Sequence[BpuModel]) -> bytes:
    """The file that holds `models`, in order. What cannot be loaded again is not written.

    Raises:
        ModelFormatError: a model that breaks a rule of the format; `where` says which part.
        CapacityError: more than the format holds.
    """
    check_models(models)
    return pack(write_sections(models, DescriptionBudget().take))


def load(path: str | Path) -> tuple[BpuModel, ...]:
    """The models of a file, which stays mapped (read only) as long as one of them is alive.

    A file in use must be replaced by renaming, never rewritten in place.

    Raises:
        ModelFormatError: not a valid file; `where` starts with the path.
        InputError: the file cannot be opened.
    """
    try:
        if stat.S_IFMT(Path(path).stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise InputError(  # opening a pipe would wait for a writer
                "the model file is no regular file", where=str(path), hint="give a .bin file"
            )
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            if size > MAX_FILE_BYTES:
                raise ModelFormatError(f"{size} bytes, a .bin holds at most {MAX_FILE_BYTES}")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        return loads(data)
    except OSError as error:
        raise InputError(
            f"cannot read the model file: {error.strerror}",
            where=str(path),
            hint="give the .bin that hb_mapper makertbin wrote",
        ) from None
    except ModelFormatError as error:
        where = f"{path}: {error.where}" if error.where else str(path)
        raise ModelFormatError(error.message, where=where, hint=error.hint) from None


def loads(data: bytes | memoryview) -> tuple[BpuModel, ...]:
    """The models in `data`; their weights are views of it.

    Raises:
        ModelFormatError: not a valid file; `where` names the section or the part of the model.
    """
    sections = unpack(memoryview(data).toreadonly().cast("B"))
    used = {0}
    budget = DescriptionBudget()

    def get(kind: SectionKind, index: int) -> memoryview:
        if not index < len(sections) or sections[index].kind is not kind:
            raise ModelFormatError(f"section {index} is not a {kind.name.lower()}")
        used.add(index)
        data = memoryview(sections[index].data)
        budget.take(kind, len(data))
        return data

    models = read_models(sections[0].data, get)
    if len(used) != len(sections):
        stray = min(set(range(len(sections))) - used)
        kind = sections[stray].kind
        known = isinstance(kind, SectionKind)
        what = "no model refers to this section" if known else f"section kind {kind} is not known"
        raise ModelFormatError(what, where=f"section[{stray}]")
    check_models(models)
    return models


def digest(source: str | Path | bytes | memoryview) -> str:
    """The identity of a file: sha256 of all its bytes, 64 lower-case hex digits.

    Raises:
        InputError: the file cannot be read.
    """
    if isinstance(source, (bytes, memoryview)):
        return hashlib.sha256(source).hexdigest()
    state = hashlib.sha256()
    try:
        with Path(source).open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                state.update(block)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror}", where=str(source)) from None
    return state.hexdigest()
