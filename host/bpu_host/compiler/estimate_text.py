"""The predicted cost of the whole model, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.device_kind import DeviceKind
from bpu_common.fidelity import BAND
from bpu_common.words import counted
from bpu_host.compiler.causes import Cause
from bpu_host.compiler.estimate import CpuEstimate, ModelEstimate
from bpu_host.compiler.report import shorten

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CpuGroup:
    """What one kind of cause costs on the CPU.

    Attributes:
        cause: the first of them.
        cause_count: nodes that are on the CPU by themselves.
        operator_count: all operators that are there because of them.
    """

    cause: Cause
    cause_count: int
    operator_count: int
    duration_ns: int


def grouped(operators: Sequence[CpuEstimate]) -> tuple[CpuGroup, ...]:
    """The operators by the rule that keeps them on the CPU, costliest first; free ones left out."""
    groups: dict[str, list[CpuEstimate]] = {}
    for each in operators:
        if each.duration_ns:
            groups.setdefault(each.cause.rule or each.cause.reason, []).append(each)
    found = [
        CpuGroup(
            members[0].cause,
            len({each.cause.node for each in members}),
            len(members),
            sum(each.duration_ns for each in members),
        )
        for members in groups.values()
    ]
    return tuple(sorted(found, key=lambda group: -group.duration_ns))


def estimate_text(cost: ModelEstimate, optimize_level: str) -> str:
    """The block that ends a conversion: the frame, where its time goes, what costs most."""
    alone = cost.frames_per_second_alone
    busy = f"{counted(cost.core_count, 'core')} with {counted(cost.threads, 'thread')}"
    shares = f"BPU {_share(cost.bpu_ns, cost)}, CPU {_share(cost.cpu_ns, cost)}"
    submit, subgraphs = _share(cost.submit_ns, cost), counted(len(cost.parts), "subgraph")
    lines = [
        f"Whole model, estimated for a simulated {cost.machine} ({optimize_level}):",
        f"  one thread  {_ms(cost.latency_ns)} ms a frame, {alone:.2f} frames/s",
        f"  all cores   {cost.frames_per_second:.2f} frames/s on {busy}",
        f"  a frame     {shares}, submit {submit}; {subgraphs}",
    ]
    groups = [(group.duration_ns, _group_text(group)) for group in grouped(cost.cpu)]
    lines += ["  the CPU's time by cause:", *_dearest(groups, "cause")]
    operators = [(each.duration_ns, f"{each.op_type} {shorten(each.name)}") for each in cost.cpu]
    operators = sorted((each for each in operators if each[0]), key=lambda each: -each[0])
    lines += ["  its costliest operators:", *_dearest(operators, "operator")]
    lines += [f"  error band: {BAND.sentence}"]
    return "\n".join(lines)


def estimate_json(cost: ModelEstimate, optimize_level: str) -> dict[str, object]:
    """The same and everything behind it, for `json.dumps`."""
    return {
        "machine": cost.machine,
        "device": DeviceKind.SIMULATED.value,
        "error_band": BAND.sentence,
        "optimize_level": optimize_level,
        "core_count": cost.core_count,
        "threads": cost.threads,
        "latency_ms": cost.latency_ns / 1e6,
        "bpu_ms": cost.bpu_ns / 1e6,
        "cpu_ms": cost.cpu_ns / 1e6,
        "submit_ms": cost.submit_ns / 1e6,
        "frames_per_second_alone": cost.frames_per_second_alone,
        "frames_per_second": cost.frames_per_second,
        "subgraphs": [
            {"name": each.name, "latency_us": each.latency_us, "ddr_bytes": each.ddr_bytes}
            for each in cost.parts
        ],
        "cpu_groups": [
            {
                "node": each.cause.node,
                "reason": each.cause.reason,
                "rule": each.cause.rule,
                "causes": each.cause_count,
                "operators": each.operator_count,
                "latency_ms": each.duration_ns / 1e6,
            }
            for each in grouped(cost.cpu)
        ],
        "cpu_operators": [
            {
                "name": each.name,
                "op_type": each.op_type,
                "latency_ms": each.duration_ns / 1e6,
                "cause": each.cause.node,
            }
            for each in cost.cpu
        ],
    }


def _group_text(group: CpuGroup) -> str:
    others = f" and {counted(group.cause_count - 1, 'other')}" if group.cause_count > 1 else ""
    subject = f"{shorten(group.cause.node)}{others}: " if group.cause.node else ""
    return f"{counted(group.operator_count, 'operator')}, {subject}{group.cause.reason}"


def _dearest(rows: Sequence[tuple[int, str]], noun: str) -> list[str]:
    """The first rows, costliest first, and the sum of the others."""
    lines = [f"    {_ms(duration_ns):>9} ms  {text}" for duration_ns, text in rows[:_SHOWN]]
    if rest := rows[_SHOWN:]:
        rest_ms = _ms(sum(duration_ns for duration_ns, _ in rest))
        lines.append(f"    {rest_ms:>9} ms  {counted(len(rest), f'other {noun}')}")
    return lines


def _share(part_ns: int, cost: ModelEstimate) -> str:
    return f"{_ms(part_ns)} ms ({100 * part_ns / cost.latency_ns:.0f} %)"


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.3f}"
