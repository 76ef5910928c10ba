"""`bpu top --demo`: a simulated board with three models that preempt each other.

The models are small networks of random weights, compiled on the first run and kept in the user's
cache folder. The board is an agent of its own process, on a socket in a private folder; both are
gone afterwards.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bpu_common import __version__, container
from bpu_common.environment import CACHE_HOME, home_folder
from bpu_common.errors import BoardUnreachable, BpuError
from bpu_common.files import write_atomic
from bpu_common.load import LoadRequest
from bpu_host.remote import Board

Report = Callable[[str], None]
"""Called with a short line when a step begins."""

_START_S = 30.0
_STOP_S = 5.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network of 3x3 convolutions, and what it does on the demo board.

    Attributes:
        side: height and width of its image.
        stages: (channels, convolutions) after each halving of the size.
        max_time_per_fc_us: bound of its function calls; 0 leaves it one call.
    """

    name: str
    side: int
    stages: tuple[tuple[int, int], ...]
    max_time_per_fc_us: int
    load: LoadRequest


RECIPES = (
    Recipe(
        "detector",
        416,
        ((32, 4), (64, 8), (128, 8), (128, 6)),
        8_000,
        LoadRequest("detector", threads=4),
    ),
    Recipe(
        "segmenter",
        288,
        ((32, 4), (64, 6), (128, 6)),
        5_000,
        LoadRequest("segmenter", threads=2, rate_hz=25.0, priority=10, seed=1),
    ),
    Recipe(
        "classifier",
        224,
        ((32, 1), (64, 2), (128, 3)),
        0,
        LoadRequest("classifier", rate_hz=30.0, priority=255, seed=2),
    ),
)


def cache_folder() -> Path:
    """Where the compiled models are kept; another release or recipe has another folder."""
    key = hashlib.sha256(f"{__version__} {RECIPES}".encode()).hexdigest()[:12]
    return home_folder(CACHE_HOME) / "openbpu" / f"demo-{key}"


def prepare(report: Report) -> tuple[Path, ...]:
    """The compiled models, from the cache or made now (a few seconds).

    Raises:
        BpuError: the compiler's, or the cache cannot be written.
    """
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for number, recipe in enumerate(RECIPES, 1):
        path = folder / f"{recipe.name}.bin"
        if not _usable(path):
            step = f"compiling {recipe.name} ({number} of {len(RECIPES)})"
            write_atomic(path, _compiled(recipe, _prefixed(report, step)))
        found.append(path)
    return tuple(found)


def _prefixed(report: Report, prefix: str) -> Report:
    return lambda text: report(f"{prefix}: {text}")


@contextmanager
def demo_board(models: tuple[Path, ...], report: Report) -> Iterator[str]:
    """The address of a running simulated board with the models and their loads.

    Raises:
        BpuError: it does not start, or refuses a model or load.
    """
    with tempfile.TemporaryDirectory(prefix="bpu-demo-") as folder:
        address = f"unix:{folder}/agent.sock"
        report("starting a simulated board")
        with _agent(address, Path(folder)), Board.connect(address) as board:
            for path in models:
                board.deploy(path)
            for recipe in RECIPES:
                load = recipe.load
                board.start_load(
                    load.model,
                    threads=load.threads,
                    rate_hz=load.rate_hz,
                    priority=load.priority,
                    seed=load.seed,
                )
            yield address


@contextmanager
def _agent(address: str, folder: Path) -> Iterator[None]:
    """An agent with a paced clock; it ends with this process, however that ends."""
    log = folder / "agent.log"
    command = [
        sys.executable, "-m", "bpu_board.cli.agent", "--listen", address,
        "--store", str(folder / "store"), "--clock", "paced", "--threads", "1",
    ]  # fmt: skip
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=_die_with_parent,
        )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        if not ready or not process.stdout.readline():
            raise BoardUnreachable(
                f"the simulated board did not start: {_last_line(log)}", where=address
            )
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _die_with_parent() -> None:
    """In the child: SIGTERM when the parent is gone, and no SIGINT from the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _usable(path: Path) -> bool:
    try:
        container.load(path)
    except (BpuError, OSError):
        return False
    return True


def _compiled(recipe: Recipe, report: Report) -> bytes:
    """The bytes of the recipe's `.bin`."""
    from bpu_common.tensor import InputType, Layout
    from bpu_host.compiler.api import compile_model
    from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
    from bpu_host.compiler.events import Event, StageStarted
    from bpu_host.tui.demo_net import network

    def on_event(event: Event) -> None:
        if isinstance(event, StageStarted):
            report(event.title)

    report("make the network")
    with tempfile.TemporaryDirectory(prefix="bpu-demo-") as name:
        folder = Path(name)
        source = folder / f"{recipe.name}.onnx"
        source.write_bytes(network(recipe.name, recipe.side, recipe.stages))
        image = InputConfig(
            name="image",
            shape=(1, 3, recipe.side, recipe.side),
            train_type=InputType.RGB,
            train_layout=Layout.NCHW,
            rt_type=InputType.NV12,
            rt_layout=Layout.NHWC,
            mean=(128.0,),
            scale=(1 / 128,),
        )
        config = CompileConfig(
            model_path=source,
            prefix=recipe.name,
            working_dir=folder,
            inputs=(image,),
            calibration_method=CalibrationMethod.MAX,
            max_time_per_fc_us=recipe.max_time_per_fc_us,
        )
        compile_model(config, on_event, measure=False)
        return (folder / f"{recipe.name}.bin").read_bytes()
