"""Caffe layers with something wrong in them: `python -m tests.caffe.mutants --count 2000`.

A mutant is a layer of the examples whose input shapes and parameters are changed in one to three
places. Whatever comes of it is a sentence, or a model that onnxruntime runs and whose outputs have
the shapes that were claimed.
"""

from __future__ import annotations

import argparse
import collections
import math
import random
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from bpu_common.errors import BpuError
from tests.caffe.opencv_cases import CASES
from tests.caffe.test_formulas import FORMS
from tests.support import caffe_nets as nets

EXAMPLES = (
    *((case.kind, case.bottoms, case.more, case.blobs, case.tops) for case in CASES),
    *((kind, shapes, more, blobs, tops) for kind, shapes, more, blobs, _, tops in FORMS),
)
_SIZES = (0, 1, 2, 3, 5, 9, 17, 100_000, 1 << 25)
_VALUES = (
    *("0", "1", "2", "3", "5", "-1", "-2", "7", "255", "65536", "2147483647", "4294967295"),
    *("-2147483648", "0.5", "1e38", "nan", "-inf", "true", "MAX"),
)
_VALUE = re.compile(r"(?<=: )[-\w.]+")
_MOST_VALUES = 20_000_000
"""Larger ones are not run: that they are allowed is known, and they only take time."""


def mutant(seed: int, folder: Path) -> tuple[Path, Path]:
    """The two files of one mutant."""
    source = random.Random(seed)
    kind, shapes, more, blobs, tops = source.choice(EXAMPLES)
    bottoms = [list(shape) for shape in shapes]
    if source.random() < 0.5 and (chosen := source.choice(bottoms)):
        chosen[source.randrange(len(chosen))] = source.choice(_SIZES)
    if source.random() < 0.2 and (chosen := source.choice(bottoms)):
        chosen.append(source.choice((1, 2, 3))) if source.random() < 0.5 else chosen.pop()
    if source.random() < 0.1:
        bottoms.append(list(bottoms[0]))
    for _ in range(source.randrange(3)):
        if places := list(_VALUE.finditer(more)):
            at = source.choice(places)
            more = more[: at.start()] + source.choice(_VALUES) + more[at.end() :]
    names = [f"x{index}" for index in range(len(bottoms))]
    ends = [f"y{index}" for index in range(tops + (source.random() < 0.05))]
    inputs = dict(zip(names, bottoms, strict=True))
    weights = [np.abs(each) + 0.5 for each in nets.noise(dict(enumerate(blobs)), 1).values()]
    text = nets.inputs(inputs) + nets.layer(kind, names, ends, more)
    return nets.write(folder, text, {"it": weights} if weights else {})


def outcome(files: tuple[Path, Path]) -> str:
    """`refused`, `large` or `runs`.

    Raises:
        AssertionError: a sentence that says nothing, or an output of another shape.
        Exception: of onnxruntime, which does not run the model, or of the reader itself.
    """
    try:
        model = nets.read(files)
    except BpuError as error:
        sentence = str(error)
    else:
        graph = model.proto.graph
        shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.output)
        }
        if sum(map(math.prod, shapes.values())) > _MOST_VALUES:
            return "large"
        nets.run(model, nets.noise({value.name: shapes[value.name] for value in graph.input}))
        return "runs"
    assert "the log has the details" not in sentence, sentence
    return "refused"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seed, options.seed + options.count):
            files = mutant(seed, Path(folder))
            try:
                counts[outcome(files)] += 1
            except Exception as error:  # noqa: BLE001  (a campaign tells all of them)
                counts["faults"] += 1
                print(f"seed {seed}: {error!r:.300}\n{files[0].read_text()}")
    print(dict(counts))
    return 1 if counts["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
