"""One target under atheris, in this process: `python -m tests.fuzz_targets.fuzzer NAME ...`.

The process ends when the wanted executions and CPU time are both reached. Inputs that do harm are
kept as files, one for each place; an input that ends the process is kept by libFuzzer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import atheris

OURS = ("bpu_common", "bpu_sim", "bpu_board", "bpu_host")
_PLAIN = 0.2
"""Share of inputs that libFuzzer makes of bytes; the others are made by the target's `change`."""
_AGAIN = 0.3
"""Share of these that begin with a seed again: what was kept is mostly what is refused early."""
_SLOW_S = 60
_LIMIT_MB = 3000


class Campaign:
    """Counts executions and keeps what does harm."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.executions = 0
        self.harms: dict[str, str] = {}
        self.answers: dict[str, int] = {}
        self.folder = Path(scratch)
        self.seeds = target.seeds()

    def one(self, data: bytes) -> None:
        """Run an input; ends the process when there have been enough."""
        try:
            answer = judge(target, data, self.folder)
            self.answers[answer] = self.answers.get(answer, 0) + 1
        except Harm as harm:
            place = str(harm).split(": ")[0]
            if place not in self.harms:
                self.harms[place] = str(harm)[:300]
                name = f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
                (self.options.found / name).write_bytes(data)
                print(f"FOUND {name}: {str(harm)[:300]}", flush=True)
        self.executions += 1
        enough = self.executions >= self.options.runs
        if enough and time.process_time() >= self.options.cpu_s:
            self.end()

    def end(self) -> None:
        """Print what there was."""
        print("RESULT " + json.dumps({
            "target": target.name,
            "executions": self.executions,
            "cpu_s": round(time.process_time()),
            "answers": self.answers,
            "harms": self.harms,
        }), flush=True)  # fmt: skip
        os._exit(0)

    def mutate(self, data: bytes, most_bytes: int, seed: int) -> bytes:
        """The next input."""
        source = random.Random(seed)
        if source.random() < _PLAIN:
            return atheris.Mutate(data, most_bytes)
        if source.random() < _AGAIN:
            data = source.choice(self.seeds)
        for _ in range(source.randint(1, 2)):
            data = target.change(source, data)
        return data[:most_bytes]


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--cpu-s", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="inputs that it grows")
    parser.add_argument("--found", type=Path, required=True, help="inputs that did harm")
    return parser.parse_args(arguments)


def main() -> None:
    """Never returns."""
    options = options_of(sys.argv[1:])
    campaign = Campaign(options)
    for index, seed in enumerate(campaign.seeds):
        (options.corpus / f"seed-{index}").write_bytes(seed)
    atheris.Setup(
        [
            sys.argv[0], f"-seed={options.seed}", "-runs=-1", f"-timeout={_SLOW_S}",
            f"-rss_limit_mb={_LIMIT_MB}", f"-max_len={target.most_bytes}", "-len_control=0",
            f"-artifact_prefix={options.found}/{target.name}-", str(options.corpus),
        ],
        campaign.one,
        custom_mutator=campaign.mutate,
    )  # fmt: skip
    atheris.Fuzz()


scratch = tempfile.mkdtemp(prefix="fuzz")
os.chdir(scratch)
with atheris.instrument_imports(include=list(OURS)):
    from tests.fuzz_targets.corpora import target_of
    from tests.fuzz_targets.target import Harm, judge

    target = target_of(options_of(sys.argv[1:]).target)
    for seed in target.seeds():  # what is imported late is instrumented too
        judge(target, seed, Path(scratch))

if __name__ == "__main__":
    main()
