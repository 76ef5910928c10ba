"""Random kills from a seed, and what must hold after each of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bpu_common import container
from bpu_common.errors import BoardUnreachable
from bpu_common.model import BpuModel
from bpu_common.telemetry import TelemetryFrame
from tests.chaos.scene import Client, Scene, kill
from tests.support.models_board import (
    HEIGHT,
    WIDTH,
    expected_codes,
    heavy_model,
    image_input,
    slow_model,
)
from tests.support.models_board import tiny_model as _tiny

HANG_S = 60
"""Whatever takes longer hangs."""

FILES_LIMIT = 80
THREADS_LIMIT = 120
LOCKS_LIMIT = 16

SLOW_CALLS, SLOW_WORK = 60, 40
"""The slow model: some 15 ms in function calls of 0.25 ms."""

LONG_CALLS, LONG_WORK, LONG_THREADS = 400, 100, 30
"""The long model: some 0.25 s. So many frames of it on one core are 7 s of work, which must end
with the client that asked for it."""

SMALLEST_MB, LARGEST_MB = 2, 10


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill to make.

    Attributes:
        victim: client, agent, supervisor, session or daemon.
        work: what the client does at that moment.
        moment: share of the work (an upload's bytes) that is over, 0..1.
        pause_s: from then on.
        pace_s: an upload's pause after each chunk of 1 MiB, as on a slow link.
        again_s: the victim that is started next is killed too, so long after; negative: it is not.
    """

    victim: str
    work: str
    moment: float
    pause_s: float
    pace_s: float
    again_s: float
    core: int
    priority: int
    threads: int
    size_bytes: int
    model: str = "slow"


def plan(seed: int, count: int, victims: tuple[str, ...]) -> list[Kill]:
    """Kills of every kind in turn, in random order, at random moments."""
    dice = random.Random(seed)
    kinds = [("client", work) for work in ("upload", "infer", "perf", "load")]
    kinds += [(victim, work) for victim in victims for work in ("upload", "infer")]
    kinds += [("agent", "perf")]
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count:
        dice.shuffle(kinds)
        chosen += kinds
    kills = [
        Kill(
            victim,
            work,
            moment=dice.choice([dice.random(), dice.random(), dice.random(), 1.0]),
            pause_s=dice.uniform(0, 0.02 if work == "upload" else 0.2),
            pace_s=dice.choice([0.0, 0.005, 0.02]),
            again_s=dice.uniform(0, 0.6) if dice.random() < 0.2 and victim != "client" else -1.0,
            core=dice.randrange(3),
            priority=dice.choice([0, 7, 255]),
            threads=dice.randrange(1, 5),
            size_bytes=dice.randrange(SMALLEST_MB << 20, LARGEST_MB << 20),
        )
        for victim, work in chosen[:count]
    ]
    return [
        replace(
            each,
            model="long",
            threads=LONG_THREADS,
            core=dice.choice([1, 2]),
            moment=0.0,
            pause_s=dice.uniform(0, 2),
        )
        if (each.victim, each.work) == ("client", "infer") and dice.random() < 0.7
        else each
        for each in kills
    ]


class Chaos:
    """Plays kills on one scene.

    Attributes:
        recovery_s: from each kill until the board was reached and idle.
        most_files: that the agent had open after a kill.
        kinds: kills made, by scene, victim and work.
        resumed: uploads that went on where they had been cut.
    """

    def __init__(self, scene: Scene, seed: int, within_s: float) -> None:
        self.scene = scene
        self.seed = seed
        self.within_s = within_s
        self.recovery_s: list[float] = []
        self.most_files = 0
        self.kinds: Counter[str] = Counter()
        self.resumed = 0
        self.cut_clients: Counter[str] = Counter()
        self._random = np.random.default_rng(seed)
        self._pixels = self._random.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
        self._wanted = expected_codes(self._pixels, image_input())
        np.save(scene.root / "pixels.npy", self._pixels)
        np.save(scene.root / "wanted.npy", self._wanted)
        self._next = Client(scene)
        self._count = 0
        for model in (_tiny("tiny"), slow_model("slow", SLOW_CALLS, SLOW_WORK)):
            scene.board.deploy(self._write(model))
        self._long: Path | None = None
        self._resident = {entry.digest for entry in scene.board.models()}

    def close(self) -> None:
        self._next.end()

    def play(self, kills: list[Kill]) -> None:
        """Make the kills, each followed by every check."""
        for each in kills:
            self._count += 1
            try:
                self._play(each)
            except BaseException as error:
                error.add_note(
                    f"BPU_CHAOS_SEED={self.seed}, {self.scene.name}, kill {self._count}: {each}\n"
                    f"agent: {self.scene.folder.last_lines(12)}\n"
                    f"clients: {(self.scene.root / 'clients.log').read_text()[-2000:]}"
                )
                raise
            self.kinds[f"{each.victim} in {each.work}"] += 1

    def _play(self, each: Kill) -> None:
        path = self._heavy(each.size_bytes) if each.work == "upload" else None
        if each.model == "long":
            self._long = self._long or self._write(slow_model("long", LONG_CALLS, LONG_WORK))
            self.scene.board.deploy(self._long)
        client, self._next = self._next, Client(self.scene)
        self.scene.prepare()
        try:
            self._order(client, each, path)
            lines = _lines(client)
            self._await_moment(lines, each)
            killed_s = time.monotonic()
            if each.victim == "client":
                kill(client.process.pid)
            else:
                self._kill(each)
            self._recover(killed_s, lines, each, client)
        finally:
            client.end()
        self._check_store(path)
        if path is not None:
            self._finish_upload(path)
        self._check_cores()
        if each.model == "long":
            self.scene.board.remove("long")  # it takes an agent a second to read
        self._check_bounds()

    def _kill(self, each: Kill) -> None:
        self.scene.kill(each.victim)
        self.scene.mend()
        if each.again_s >= 0 and each.victim != "daemon":  # mostly before it listens
            time.sleep(each.again_s)
            self.scene.kill(each.victim)
            self.scene.mend()

    def _order(self, client: Client, each: Kill, path: Path | None) -> None:
        client.order(
            json.dumps(
                {
                    "address": self.scene.address,
                    "work": each.work,
                    "path": str(path),
                    "pace_s": each.pace_s,
                    "model": each.model,
                    "pixels": str(self.scene.root / "pixels.npy"),
                    "wanted": str(self.scene.root / "wanted.npy"),
                    "core": each.core,
                    "priority": each.priority,
                    "threads": each.threads,
                }
            )
        )

    def _await_moment(self, lines: queue.Queue[str], each: Kill) -> None:
        """Wait until the work has come to the moment of the kill."""
        enough = int(each.moment * each.size_bytes) if each.work == "upload" else 0
        answers = int(each.moment * 6) if each.work == "infer" else 0
        while True:
            text = lines.get(timeout=HANG_S)
            assert text.startswith("at "), text
            if int(text[3:]) >= enough and answers <= 0:
                break
            answers -= 1
        time.sleep(each.pause_s)

    def _recover(
        self, killed_s: float, lines: queue.Queue[str], each: Kill, client: Client
    ) -> None:
        """The board is reached again, and nothing of the work runs on it any more."""
        if each.work == "load":
            # By design a load is the board's: it goes on until somebody stops it.
            self._stop_loads()
            killed_s = time.monotonic()
        if each.victim != "client":
            if each.work == "infer":
                self._await_idle(killed_s, reached_only=True)
                client.process.kill()  # a client that lives may go on for ever
            self._last_words(lines, each)
        self.recovery_s.append(self._await_idle(killed_s))

    def _stop_loads(self) -> None:
        for load in self.scene.board.loads():
            self.scene.board.stop_load(load.name)

    def _last_words(self, lines: queue.Queue[str], each: Kill) -> None:
        """A client that lives succeeds, or fails with an error that the library declares."""
        last = "(nothing)"
        while text := lines.get(timeout=HANG_S):
            assert text != "wrong", "an inference gave wrong bits"
            last = text
        self.cut_clients[f"{each.work}: {last.split(':')[0].split(' at')[0]}"[:60]] += 1
        if each.work != "infer":
            assert last == "done" or last.startswith("refused "), last

    def _await_idle(self, killed_s: float, reached_only: bool = False) -> float:
        """Seconds from the kill until the board answers and is idle."""
        end_s = killed_s + self.within_s
        seen: object = None
        while True:
            try:
                self.scene.mend()
                self.scene.board.info()
                seen = frame = next(iter(self.scene.board.telemetry(20, 1)))
                if reached_only or idle(frame):
                    return time.monotonic() - killed_s
            except BoardUnreachable as error:
                seen = error
            assert time.monotonic() < end_s, f"not idle within {self.within_s} s: {seen}"
            time.sleep(0.02)

    def _check_store(self, path: Path | None) -> None:
        """Whole models with their true digests, and prefixes of the others."""
        folders = [self.scene.folder.models / name for name in ("models", "uploads")]
        while True:
            models, uploads = before = [set(folder.iterdir()) for folder in folders]
            shown = self.scene.board.models()
            parts = {file: file.read_bytes() for file in uploads if file.exists()}
            if [set(folder.iterdir()) for folder in folders] == before:
                break  # else an upload that had arrived whole was still being stored
        names = set()
        for file in models:
            assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}.bin" == file.name
            names |= {model.name for model in container.load(file)}
        assert {f"{entry.digest}.bin" for entry in shown} == {file.name for file in models}
        assert {entry.name for entry in shown} == names
        locks = {file for file in uploads if file.suffix == ".lock"}
        assert len(locks) <= LOCKS_LIMIT
        for file in uploads - locks:
            assert path is not None, f"{file} is left"
            assert file.name == f"{container.digest(path)}.part"
            assert path.read_bytes().startswith(parts[file])

    def _finish_upload(self, path: Path) -> None:
        """The next deployment sends what is missing and no more; then the model works."""
        digest = container.digest(path)
        size_bytes = path.stat().st_size
        have = 0
        for name in (f"uploads/{digest}.part", f"models/{digest}.bin"):
            with contextlib.suppress(FileNotFoundError):
                have = (self.scene.folder.models / name).stat().st_size
        self.resumed += 0 < have < size_bytes
        result = self.scene.board.deploy(path)
        assert (result.digest, result.sent_bytes) == (digest, size_bytes - have)
        (name,) = result.models
        self._infer(name, 0)
        self.scene.board.remove(name)
        path.unlink()
        self._check_store(None)
        assert {entry.digest for entry in self.scene.board.models()} == self._resident

    def _check_cores(self) -> None:
        """Each core runs a frame with the right bits."""
        for core in (1, 2):
            for model in ("tiny", "slow"):
                self._infer(model, core)
        self._await_idle(time.monotonic())

    def _infer(self, model: str, core: int) -> None:
        result = self.scene.board.infer(model, self._pixels, core_id=core, timeout_s=HANG_S)
        np.testing.assert_array_equal(result.outputs["codes"], self._wanted)

    def _check_bounds(self) -> None:
        """One supervisor, one agent, few files and threads, no file kept that was removed."""
        self._eventually(lambda: len(self.scene.processes()) == 2, self.scene.processes)
        self._eventually(self.scene.settled, lambda: "connections of dead clients")
        _, agent = self.scene.running()
        process = next(each for each in self.scene.processes() if each.pid == agent)
        self.most_files = max(self.most_files, process.num_fds())
        assert self.most_files <= FILES_LIMIT
        assert process.num_threads() <= THREADS_LIMIT
        maps = Path(f"/proc/{agent}/maps")

        def gone() -> list[str]:
            lines = maps.read_text().splitlines()
            return [line for line in lines if ".bin (deleted)" in line]

        self._eventually(lambda: not gone(), gone)

    def _eventually(self, condition: object, describe: object) -> None:
        assert callable(condition)
        assert callable(describe)
        end_s = time.monotonic() + self.within_s
        while not condition():
            assert time.monotonic() < end_s, describe()
            time.sleep(0.02)

    def _heavy(self, size_bytes: int) -> Path:
        """A model of its own, with random bytes in it."""
        seed = int(self._random.integers(1 << 32))
        return self._write(heavy_model(size_bytes, f"heavy{self._count}", seed))

    def _write(self, model: BpuModel) -> Path:
        path = self.scene.root / f"{model.name}.bin"
        path.write_bytes(container.dump([model]))
        return path


def idle(frame: TelemetryFrame) -> bool:
    """No function call runs and no task is alive."""
    return (
        all(core.task == -1 for core in frame.cores)
        and frame.queue.running == frame.queue.waiting == 0
        and not any(model.alive for model in frame.models)
    )


def _lines(client: Client) -> queue.Queue[str]:
    """What the client says; ends with an empty line."""
    found: queue.Queue[str] = queue.Queue()

    def read() -> None:
        while text := client.line():
            found.put(text)
        found.put("")

    threading.Thread(target=read, daemon=True).start()
    return found
