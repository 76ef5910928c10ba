"""Each defence taken away is found again: the target comes to harm within a few hundred inputs."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container, input_files, json_form, pictures
from bpu_common.telemetry import lines
from bpu_common.wire.rpc import intake
from bpu_host.boards import inventory
from bpu_host.compiler.calibrate import samples
from bpu_host.compiler.config import conditions
from bpu_host.compiler.frontend import onnx as frontend
from bpu_host.compiler.frontend import vectors
from bpu_host.compiler.frontend.caffe import caffemodel
from tests.fuzz_targets.corpora import corpus_files, target_of
from tests.fuzz_targets.target import MOST_BYTES, Harm, judge

SIGFPE = -8
_MOST_BYTES = 64 << 20


class _NeverError(Exception):
    """What nobody raises."""


@dataclass(frozen=True)
class Removal:
    """A defence, and what stands in its place.

    Attributes:
        harm: regular expression of what the target must find.
        within: inputs, at most.
    """

    target: str
    owner: object
    name: str
    instead: object
    harm: str
    within: int = 400


@contextlib.contextmanager
def _nothing(*_: object) -> Iterator[None]:
    yield


REMOVALS = (
    Removal("bins", container, "check_models", lambda _: None, "Error"),
    Removal("onnx_models", frontend, "damage", _nothing, "Error"),
    Removal("onnx_models", vectors, "MAX_ELEMENTS", 1 << 62, "memory: "),
    Removal("caffe_models", caffemodel, "DecodeError", _NeverError, "DecodeError"),
    Removal("configurations", conditions, "_STAND_INS", {}, "KeyError"),
    Removal("pictures", pictures, "_FORMATS", None, r"outside: subprocess\.Popen 'gs'"),
    Removal("pictures", pictures, "_told", _nothing, "Error"),
    Removal("samples", samples, "_finite", lambda values, _: values, "not finite"),
    Removal("input_files", input_files, "_npy", np.load, "Error"),
    Removal("recordings", json_form, "_MOST", 1 << 400, "Error"),
    Removal("recordings", lines, "parse_json", json.loads, "RecursionError"),
    Removal("inventories", inventory, "parse_json", json.loads, "RecursionError"),
    Removal("board_calls", intake, "DecodeError", _NeverError, "UNKNOWN|INTERNAL"),
    Removal("daemon_calls", intake, "DecodeError", _NeverError, "UNKNOWN|INTERNAL"),
)


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda each: f"{each.target} {each.name}")
def test_a_defence_removed_is_found(removal: Removal, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(removal.owner, removal.name, removal.instead)
    try:
        with pytest.raises(Harm, match=removal.harm):
            _read_all(removal, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_all(removal: Removal, folder: Path) -> None:
    most_bytes = _MOST_BYTES if "memory" in removal.harm else 4 * MOST_BYTES
    for data in inputs_of(removal.target, removal.within):
        judge(target_of(removal.target), data, folder, most_bytes=most_bytes)


def inputs_of(name: str, count: int) -> Iterator[bytes]:
    """Seeds, kept inputs and changed seeds, so many."""
    target = target_of(name)
    seeds = [*target.seeds(), *(path.read_bytes() for path in corpus_files(name))]
    yield from seeds
    for number in range(count - len(seeds)):
        source = random.Random(number)
        yield target.change(source, source.choice(seeds))


def test_float_operators_without_their_own_process(tmp_path: Path) -> None:
    """The process that reads the input is gone."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from bpu_sim.engines import OrtEngine
from tests.fuzz_targets import cpu_operators
from tests.fuzz_targets.test_defences import inputs_of
cpu_operators.OrtEngine = lambda network, contained: OrtEngine(network)
for data in inputs_of("cpu_operators", 400):
    try:
        cpu_operators.run(data, Path())
    except Exception:
        pass
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert ended.returncode == SIGFPE
