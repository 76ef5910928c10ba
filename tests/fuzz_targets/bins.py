"""`.bin` files: sections changed as messages and sealed again, and bytes changed as they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bpu_common import container
from bpu_common.board import describe_model
from bpu_common.container.layout import Section, pack, unpack
from bpu_common.errors import BpuError
from bpu_common.machine import MACHINES
from bpu_common.manifest import SectionKind
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_sim.timing import task_plan
from tests.fuzz_targets.target import Target
from tests.hostile.changes import change_bytes, change_message
from tests.support.models_board import slow_model, tiny_model

_MESSAGES = {
    SectionKind.MANIFEST: pb.Manifest,
    SectionKind.NETWORK: pb.Network,
    SectionKind.PROGRAM: pb.Program,
}
GOLDEN = Path(__file__).parents[1] / "golden"
_SEALED = 0.9


@cache
def seeds() -> Sequence[bytes]:
    """A file of each feature of the format, and what the board's tests run."""
    made = [container.dump([tiny_model(classify=True)]), container.dump([slow_model(calls=3)])]
    made.append(container.dump([tiny_model("a"), tiny_model("b")]))
    return made + [path.read_bytes() for path in sorted(GOLDEN.glob("*.bin"))]


def change(source: random.Random, data: bytes) -> bytes:
    """Another file, whose checksums are mostly right."""
    if source.random() > _SEALED:
        return change_bytes(source, data)
    try:
        sections = [Section(each.kind, bytes(each.data)) for each in unpack(memoryview(data))]
    except BpuError:
        return change(source, source.choice(seeds()))
    for _ in range(source.randint(1, 3)):
        _change_section(source, sections)
    try:
        return pack(sections)
    except BpuError:
        return data


def _change_section(source: random.Random, sections: list[Section]) -> None:
    at = source.randrange(len(sections))
    section = sections[at]
    action = source.random()
    if action < 0.05 and at:
        del sections[at]
    elif action < 0.1:
        sections.append(section)
    elif action < 0.15:
        sections[at] = Section(source.choice([*SectionKind, 77]), section.data)
    else:
        sections[at] = Section(section.kind, _changed(source, section))


def _changed(source: random.Random, section: Section) -> bytes:
    kind = _MESSAGES.get(section.kind)  # type: ignore[arg-type]
    if kind is None or source.random() < 0.1:
        return change_bytes(source, bytes(section.data))
    message = kind()
    try:
        message.ParseFromString(bytes(section.data))
    except Exception:  # noqa: BLE001  an earlier change broke it
        return change_bytes(source, bytes(section.data))
    change_message(source, message, source.randint(1, 3))
    return message.SerializeToString()


def run(data: bytes, folder: Path) -> None:
    """Read, describe and cost; what was read is written and read as the same."""
    models = container.loads(data)
    for model in models:
        describe_model(model)
    again = container.dump(models)
    assert container.dump(container.loads(again)) == again
    for model in models:
        task_plan(model, MACHINES[model.machine])


TARGET = Target("bins", seeds, run, change)
