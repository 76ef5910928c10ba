"""How much of a core's int8 peak the kernels reach, by kind of layer, on one thread.

The peak is measured in the same run: a loop of dot products in registers only (`int8_peak.c`, for
the instruction set that is chosen). Of each step the least CPU time counts; steps run one after
another as in a frame, so that they find their inputs where the step before left them. Layers that
multiply nothing are shown by the time an output byte takes.

    python -m benchmarks.kernel_shares [rounds] [network ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import compiled
from benchmarks.fastpath import BUILT, FILES, kernel_parts, source
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import Step
from bpu_sim.kernels.choice import choose_engine

PEAK = Path(__file__).with_name("int8_peak.c")
FLAGS = {"vnni": ("-mavx512f", "-mavx512vnni"), "avx2": ("-mavx2",)}
MARKED, MIN_SHARE = "mobilenet_v1", 0.80
"""On one thread with VNNI."""
ROUNDS = 30
_NAMES = {
    Kind.DEPTHWISE: "depthwise", Kind.CHANNELWISE: "depthwise", Kind.LUT: "look-up",
    Kind.POOL: "pool", Kind.ADD: "add", Kind.MULTIPLY: "add", Kind.ELTWISE: "add",
    Kind.RESIZE: "resize",
}  # fmt: skip
PICTURE_CHANNELS = 4
"""The first layer reads so few channels that most of a step's lanes wait for loads."""


@dataclass(slots=True)
class Total:
    """Of the layers of a kind."""

    layers: int = 0
    us: float = 0.0
    macs: int = 0
    outputs: int = 0

    def add(self, step: Step, us: float) -> None:
        self.layers += 1
        self.us += us
        self.macs += macs(step)
        made = step.y or step.x
        self.outputs += 0 if made is None else made.height * made.width * made.channels

    @property
    def gops(self) -> float:
        return 2e-3 * self.macs / self.us


def kind_of(step: Step) -> str:
    """The kind of layer a step is."""
    x, y = step.x, step.y
    if step.kind is Kind.CONV and x is not None and y is not None:
        if step.values["kernel"] != (1, 1):
            return "first layer" if x.channels <= PICTURE_CHANNELS else "dense"
        return "fully connected" if y.height * y.width == 1 else "1x1"
    return _NAMES.get(step.kind, "other")


def macs(step: Step) -> int:
    """Products of a step."""
    x, y = step.x, step.y
    if x is None or y is None or step.kind not in (Kind.CONV, Kind.DEPTHWISE, Kind.CHANNELWISE):
        return 0
    rows, columns = step.values["kernel"]  # type: ignore[misc]
    depth = x.channels if step.kind is Kind.CONV else 1
    return int(y.height * y.width * y.channels * rows * columns * depth)


def peak_gops(set_name: str, folder: Path) -> float:
    """Of a core, with the dot products of an instruction set."""
    program = folder / "int8_peak"
    if not program.exists():
        subprocess.run(["cc", "-O2", *FLAGS[set_name], PEAK, "-o", program], check=True)
    done = subprocess.run([program], check=True, capture_output=True, text=True)
    return float(done.stdout)


def totals(name: str, folder: Path, rounds: int) -> dict[str, Total]:
    """Of a network, by kind of layer."""
    found: dict[str, Total] = defaultdict(Total)
    for part, feeds in kernel_parts(compiled(source(name), folder).network, 1):
        times = part.plan.profile(feeds, rounds)
        for step, us in zip(part.plan.steps, times, strict=True):
            found[kind_of(step)].add(step, us)
    return found


def show(name: str, kind: str, total: Total, whole_us: float, peak: float) -> None:
    speed = f"{total.gops:.0f} | {total.gops / peak:.0%}" if total.macs else "- | -"
    print(
        f"| {name} | {kind} | {total.layers} | {total.us:.0f} | {total.us / whole_us:.0%} "
        f"| {speed} | {total.us * 1e3 / max(total.outputs, 1):.3f} |",
        flush=True,
    )


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    names = sys.argv[2:] or [*FILES, *BUILT]
    set_name = choose_engine().about.name
    if set_name not in FLAGS:
        print(f"no peak is known for {set_name}; known are {', '.join(FLAGS)}", file=sys.stderr)
        return 2
    print("## Kernels against the peak of a core\n")
    print("| network | layers | n | us | of the frame | GOPS | of the peak | ns an output |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    fine, peaks = True, []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in names:
            before = peak_gops(set_name, folder)
            found = totals(name, folder, rounds)
            peak = max(before, peak_gops(set_name, folder))
            peaks.append(peak)
            whole = Total()
            for total in found.values():
                whole = Total(
                    whole.layers + total.layers, whole.us + total.us, whole.macs + total.macs,
                    whole.outputs + total.outputs,
                )  # fmt: skip
            show(name, "all", whole, whole.us, peak)
            for kind, total in sorted(found.items(), key=lambda item: -item[1].us):
                show("", kind, total, whole.us, peak)
            if name == MARKED and set_name == "vnni":
                fine = whole.gops / peak >= MIN_SHARE
    print(
        f"\nInstruction set {set_name}, one thread, least CPU time of {rounds} rounds; peak "
        f"{min(peaks):.0f}-{max(peaks):.0f} GOPS (products and sums), measured before and behind "
        f"each network. Mark: {MARKED} >= {MIN_SHARE:.0%} with vnni."
    )
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
