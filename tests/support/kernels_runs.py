"""The tests of the kernels run again: on another library, or recorded for other processors.

RECORDED_CASES names a folder that receives what the kernels were given, and digests of what they
made; the process of the tests loads this file as a plugin of pytest for that.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bpu_common.tensor import AnyArray
from bpu_sim.kernels.library import library_file, load
from bpu_sim.kernels.plan import Plan

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/kernels/test_networks.py",
    "tests/kernels/test_extremes.py",
    "tests/kernels/test_threads.py",
    "tests/kernels/test_mutations.py",
    "tests/kernels/test_concurrent.py",
    "tests/engines/test_operations.py",
    "tests/engines/test_exact_edges.py",
)
"""What gives numbers to the kernels and compares what they make."""
_RECORDED = "RECORDED_CASES"


def run_tests(library: Path | None, *words: str, **environment: str) -> None:
    """Run `TESTS` on a library (None: the installation's); they must pass.

    Args:
        words: of pytest's command line.
        environment: what is set besides.
    """
    tested = {} if library is None else {"TESTED_KERNELS": str(library)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *TESTS, *words],
        cwd=ROOT,
        env=os.environ | tested | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"


def record_tests(folder: Path) -> None:
    """Run them on this machine and leave their cases in `folder`, one file each."""
    run_tests(None, "-p", "tests.support.kernels_runs", **{_RECORDED: str(folder)})


def digest(arrays: Mapping[str, AnyArray]) -> str:
    """SHA-256 of arrays in the order of their names."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        state.update(arrays[name].tobytes())
    return state.hexdigest()


def replay(folder: Path) -> dict[str, str]:
    """Run the cases in `folder`/cases on every set of the library in `folder` that runs here.

    Returns:
        By set, "N equal" or a case that is not.
    """
    library, problem = load(folder / library_file().name)
    assert library is not None, problem
    cases = sorted((folder / "cases").iterdir())
    found = dict.fromkeys(library.runs, f"{len(cases)} equal")
    for path in cases:
        recipe, given, frames = pickle.loads(path.read_bytes())
        for name in library.runs:
            made = Plan(library, name, *recipe).run(given, threads=2, frames=frames)
            if digest(made) != path.suffix[1:]:
                found[name] = f"{path.stem} differs"
    return found


def pytest_configure() -> None:
    """Keep every call of the kernels; the same case has the same name whichever set ran it."""
    if _RECORDED not in os.environ:
        return
    folder = Path(os.environ[_RECORDED])
    plain_init, plain_run = Plan.__init__, Plan.run

    def init(self, library, name, ops, tensors, inputs, outputs):
        plain_init(self, library, name, ops, tensors, inputs, outputs)
        self.recipe = tuple(ops), dict(tensors), tuple(inputs), tuple(outputs)

    def run(self, values, *, threads=1, frames=1):
        made = plain_run(self, values, threads=threads, frames=frames)
        given = {name: values[name] for name in self.inputs}
        case = pickle.dumps((self.recipe, given, frames))
        (folder / f"{hashlib.sha256(case).hexdigest()[:20]}.{digest(made)}").write_bytes(case)
        return made

    Plan.__init__, Plan.run = init, run
