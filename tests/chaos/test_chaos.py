"""kill -9 at random moments: nothing is corrupt, nothing leaks, everything comes back.

The seed is printed; BPU_CHAOS_SEED repeats its kills (their moments depend on the machine too).
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from tests.chaos.driver import Chaos, plan
from tests.chaos.scene import DaemonScene, LocalScene, Scene, SshScene

SMOKE_KILLS, SMOKE_SEED = 8, 3
KILLS = ((LocalScene, 42), (SshScene, 28), (DaemonScene, 30))
WITHIN_S = 5.0
"""The promise; the smoke test allows more, so that a busy machine does not fail it."""


def _seed(default: int) -> int:
    return int(os.environ.get("BPU_CHAOS_SEED", default))


def _run(scene: Scene, seed: int, count: int, within_s: float) -> Chaos:
    with scene:
        chaos = Chaos(scene, seed, within_s)
        try:
            chaos.play(plan(seed, count, scene.victims))
        finally:
            chaos.close()
    return chaos


def test_a_few_kills() -> None:
    chaos = _run(LocalScene(), _seed(SMOKE_SEED), SMOKE_KILLS, 30.0)
    assert sum(chaos.kinds.values()) == SMOKE_KILLS


@pytest.mark.system
def test_a_hundred_kills(capsys: pytest.CaptureFixture[str]) -> None:
    seed = _seed(random.randrange(1 << 31))
    with capsys.disabled():
        print(f"\nBPU_CHAOS_SEED={seed}", flush=True)
    done: Counter[str] = Counter()
    for kind_of_scene, count in KILLS:
        scene = kind_of_scene()
        chaos = _run(scene, seed, count, WITHIN_S)
        done += Counter({f"{scene.name}: {kind}": n for kind, n in chaos.kinds.items()})
        times = sorted(chaos.recovery_s)
        with capsys.disabled():
            for kind, number in sorted(chaos.kinds.items()):
                print(f"  {scene.name}: {kind}: {number}")
            print(
                f"  {scene.name}: idle again after {times[len(times) // 2]:.2f} s (median), "
                f"{times[-1]:.2f} s (longest); {chaos.resumed} uploads resumed; living clients: "
                f"{dict(chaos.cut_clients)}"
            )
    assert done.total() == 100
