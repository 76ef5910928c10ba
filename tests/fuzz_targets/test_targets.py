"""Every target takes its seeds, what is kept for it, and inputs made of them, without harm."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpu_common.errors import CompilerBug, InputError
from tests.fuzz_targets.corpora import CORPUS, NAMES, corpus_files, target_of
from tests.fuzz_targets.target import Harm, Target, judge

CHANGED = 40
_SLOW_CHANGED = 8


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Short, for sockets; what a reader writes to its working folder is inside."""
    made = Path(tempfile.mkdtemp(prefix="fuzz"))
    monkeypatch.chdir(made)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_every_target_is_listed() -> None:
    files = {path.stem for path in CORPUS.parent.glob("*.py") if "\nTARGET = " in path.read_text()}
    assert files == set(NAMES)
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(NAMES)
    assert all(target_of(name).name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_do_no_harm(name: str, folder: Path) -> None:
    target = target_of(name)
    seeds = target.seeds()
    kept = [path.read_bytes() for path in corpus_files(name)]
    answers = {judge(target, data, folder) for data in (*seeds[:CHANGED], *kept)}
    for number in range(_SLOW_CHANGED if target.slow else CHANGED):
        data = changed(target, number)
        assert data == changed(target, number)
        answers.add(judge(target, data, folder))
    assert len(answers) > 1, "nothing is taken, or nothing is refused"


def changed(target: Target, number: int) -> bytes:
    """An input made of a seed, always the same."""
    source = random.Random(f"{target.name} {number}")
    return target.change(source, source.choice(target.seeds()))


def _writes_beside(_: bytes, folder: Path) -> None:
    (folder.parent / f"{folder.name}-beside").write_bytes(b"")


def _raises(error: Exception) -> object:
    def run(_: bytes, folder: Path) -> None:
        raise error

    return run


def _computes(_: bytes, folder: Path) -> None:
    sum(range(1 << 22))


def _takes_memory(_: bytes, folder: Path) -> None:
    bytes(range(256)) * (256 << 12)


def _starts(_: bytes, folder: Path) -> None:
    import subprocess

    subprocess.run(["true"], check=True)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (_raises(ZeroDivisionError("by zero")), "ZeroDivisionError"),
        (_raises(MemoryError()), "out of memory"),
        (_raises(CompilerBug("an invariant")), "CompilerBug"),
        (_raises(InputError("this is a bug in OpenBPU")), "bug in OpenBPU"),
        (_raises(Harm("wrong bits")), "wrong bits"),
        (_writes_beside, "outside: open"),
        (_starts, "outside: subprocess.Popen"),
        (_computes, "time: "),
        (_takes_memory, "memory: "),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_oracle_finds_harm(run: object, words: str, folder: Path) -> None:
    assert callable(run)
    target = Target("harm", tuple, run, lambda _, data: data)
    with pytest.raises(Harm, match=words):
        judge(target, b"", folder, 1e-4 if "time" in words else 60, 1 << 20)
    for path in folder.parent.glob(f"{folder.name}-beside"):
        path.unlink()


def test_a_refusal_is_an_answer(folder: Path) -> None:
    run = _raises(InputError("too small"))
    assert judge(Target("good", tuple, run, lambda _, data: data), b"", folder) == "InputError"
