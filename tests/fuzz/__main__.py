"""`python -m tests.fuzz`: one seed again, or many of them."""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from pathlib import Path

from tests.fuzz.campaign import run
from tests.fuzz.check import check


def main() -> int:
    parser = argparse.ArgumentParser(description="Random networks, all engines bit for bit.")
    parser.add_argument("--seed", type=int, help="run this one seed again")
    parser.add_argument("--count", type=int, default=1000, help="number of networks")
    parser.add_argument("--first-seed", type=int, help="default: a random one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--failures", type=Path, default=Path("fuzz_failures"), help="a folder")
    parser.add_argument("--json", type=Path, help="also write the summary to this file")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.seed is not None:
        outcome = check(arguments.seed, arguments.failures)
        print(outcome.problem or "all engines agree")
        return int(bool(outcome.problem))
    first = arguments.first_seed
    first = random.SystemRandom().randrange(1 << 31) if first is None else first
    print(f"seeds {first} to {first + arguments.count - 1}", flush=True)
    summary = run(first, arguments.count, arguments.jobs, arguments.failures)
    print(summary.text())
    if arguments.json:
        arguments.json.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    return int(bool(summary.problems))


if __name__ == "__main__":
    sys.exit(main())
