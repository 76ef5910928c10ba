"""A library of kernels that cannot be loaded is none; it never ends the process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_sim.kernels import abi
from bpu_sim.kernels.library import library_file, load, seal
from tests.support.kernels_library import LIBRARY

CONTENT = library_file().read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def problem_of(folder: Path, content: bytes) -> str:
    """Why a file of this content is not loaded."""
    path = folder / "kernels.so"
    path.write_bytes(content)
    library, problem = load.__wrapped__(path)  # nothing is remembered of a file that changes
    assert library is None
    return problem


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_library_that_is_cut_off(folder: Path, share: float) -> None:
    problem = problem_of(folder, CONTENT[: int(len(CONTENT) * share)])
    assert problem == "they cannot be loaded: the file is damaged"


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(CONTENT) - 1), change=st.integers(1, 255))
def test_a_byte_that_changed(folder: Path, at: int, change: int) -> None:
    """In machine code it would end the process, in a table it would give wrong numbers."""
    damaged = bytearray(CONTENT)
    damaged[at] ^= change
    assert "damaged" in problem_of(folder, bytes(damaged))


@pytest.mark.parametrize("content", [b"", b"not a library", CONTENT + b"\0", CONTENT * 2])
def test_other_files(folder: Path, content: bytes) -> None:
    assert "damaged" in problem_of(folder, content)


def test_a_sealed_file_that_is_no_library(folder: Path) -> None:
    content = b"\x7fELF" + bytes(1000)
    assert problem_of(folder, content + seal(content)).startswith("they cannot be loaded: ")


def test_a_library_of_another_interface(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi, "LAYOUT", (abi.ABI + 1, *abi.LAYOUT[1:]))
    assert problem_of(folder, CONTENT).startswith("they speak interface ")


def test_the_whole_library(folder: Path) -> None:
    path = folder / "whole.so"
    path.write_bytes(CONTENT)
    library, _ = load(path)
    assert library is not None
    assert library.built == LIBRARY.built


def test_the_seal_is_nothing_to_the_system() -> None:
    assert ctypes.CDLL(os.fspath(library_file())).kernels_widens(b"avx2") in (0, 1)
