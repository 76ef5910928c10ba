"""What inferences and measurements give: arrays and times that show themselves in one line."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpu_common.device_kind import Clock, DeviceKind, device_words
from bpu_common.errors import UsageError
from bpu_common.perf import PerfResult
from bpu_common.tensor import AnyArray
from bpu_common.words import counted


class Result(Mapping[str, AnyArray]):
    """The outputs of one frame, by name; `result[0]` is the first.

    Attributes:
        model: name of the model.
        latency_us: from submit to done in device time, waiting included.
        device: what ran it; the time of a simulated device is modelled.
        clock: how its time passes; UNKNOWN for a model in this process, which has none.
    """

    def __init__(
        self,
        model: str,
        outputs: Mapping[str, AnyArray],
        latency_us: float,
        device: DeviceKind,
        clock: Clock = Clock.UNKNOWN,
    ) -> None:
        self.model = model
        self.latency_us = latency_us
        self.device = device
        self.clock = clock
        self._outputs = dict(outputs)

    @property
    def simulated(self) -> bool:
        """The time is modelled, not measured on a chip."""
        return self.device is DeviceKind.SIMULATED

    def __getitem__(self, key: str | int) -> AnyArray:
        if isinstance(key, int):
            return list(self._outputs.values())[key]
        return self._outputs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def top(
        self, count: int = 5, labels: Sequence[str] = (), output: str | int = 0
    ) -> list[tuple[str | int, float]]:
        """The largest values of an output, best first: (label, or index without labels; value).

        Args:
            labels: of the values, in order.

        Raises:
            UsageError: a number of labels that is not the number of values.
        """
        values = self[output].reshape(-1)
        if labels and len(labels) != values.size:
            raise UsageError(f"{len(labels)} labels for {values.size} values")
        best = np.argsort(-values.astype(np.float64), kind="stable")[:count]
        return [(labels[at] if labels else int(at), float(values[at])) for at in best]

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name} {form(array)}" for name, array in self.items())
        return f"{self.model}: {outputs}; {self._time()}"

    def _repr_html_(self) -> str:
        rows = [[name, str(a.dtype), shape_text(a), span(a)] for name, a in self.items()]
        title = f"{self.model}, {self._time()}"
        return html_table(title, ["output", "type", "shape", "values"], rows)

    def _time(self) -> str:
        return f"{self.latency_us / 1e3:.3f} ms ({device_words(self.device, self.clock)})"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured run of many frames; all times are device time.

    Attributes:
        threads: frames in flight.
        core_busy: by core, the share of the run in which it executed function calls.
        source: everything that was measured, the profile of nodes included.
    """

    model: str
    machine: str
    threads: int
    frames: int
    fps: float
    average_us: float
    min_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    core_busy: tuple[float, ...]
    source: PerfResult

    @classmethod
    def of(cls, result: PerfResult) -> Measured:
        """The run that a board measured."""
        return cls(
            model=result.model,
            machine=result.machine,
            threads=result.thread_num,
            frames=result.frame_count,
            fps=result.fps,
            average_us=result.average_ns / 1e3,
            min_us=result.min_ns / 1e3,
            p50_us=result.p50_ns / 1e3,
            p90_us=result.p90_ns / 1e3,
            p99_us=result.p99_ns / 1e3,
            max_us=result.max_ns / 1e3,
            core_busy=tuple(busy / result.run_time_ns for busy in result.core_busy_ns),
            source=result,
        )

    @property
    def simulated(self) -> bool:
        """The times are modelled, not measured on a chip."""
        return self.source.device is DeviceKind.SIMULATED

    def __repr__(self) -> str:
        return (
            f"{self.model} on {self.machine}: {self.fps:.1f} frames/s, average "
            f"{self.average_us / 1e3:.3f} ms, p99 {self.p99_us / 1e3:.3f} ms, "
            f"{counted(self.frames, 'frame')}, {counted(self.threads, 'thread')} ({self._device()})"
        )

    def _repr_html_(self) -> str:
        times = ["average", "min", "p50", "p90", "p99", "max"]
        rows = [[name, f"{getattr(self, f'{name}_us') / 1e3:.3f} ms"] for name in times]
        rows += [
            [f"core {i} busy", f"{100 * share:.1f} %"] for i, share in enumerate(self.core_busy)
        ]
        rows.append(["rate", f"{self.fps:.1f} frames/s"])
        title = f"{self.model} on {self.machine} ({self._device()})"
        return html_table(title, ["latency", ""], rows)

    def _device(self) -> str:
        return device_words(self.source.device, self.source.clock)


def form(array: AnyArray) -> str:
    """Type, shape and range of an array: `float32 1x1000 [0, 0.98]`."""
    return f"{array.dtype} {shape_text(array)} {span(array)}"


def shape_text(array: AnyArray) -> str:
    """`1x3x224x224`; a scalar is a scalar."""
    return "x".join(map(str, array.shape)) or "scalar"


def span(array: AnyArray) -> str:
    """The smallest and the largest value: `[0, 0.98]`."""
    return f"[{array.min():g}, {array.max():g}]" if array.size else "[]"


def html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for notebooks; every text is escaped."""
    top = "".join(f"<th>{html.escape(each)}</th>" for each in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{html.escape(title)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )
