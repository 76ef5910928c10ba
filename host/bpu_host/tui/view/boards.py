"""A row a board: how each of several is."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.device_kind import device_words
from bpu_common.plain import plain
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.scene import BoardRow, Series
from bpu_host.tui.state import UiState
from bpu_host.tui.view.timeline import ddr
from bpu_host.tui.view.window import Window, same_boot


def board_row(frames: Sequence[TelemetryFrame], ui: UiState) -> BoardRow:
    """The state of a board from its frames; the last one is shown."""
    label, detail = plain(ui.label), plain(ui.detail)
    boot = same_boot(frames)
    if not boot:
        return BoardRow(label, ui.link, detail)
    window = Window.of(boot)
    last, before = window.last, window.before
    slowest = max(last.models, key=lambda model: model.latency.p99_ns, default=None)
    told = slowest is not None and slowest.latency.count > 0 and not window.stopped
    return BoardRow(
        label=label,
        link=ui.link,
        detail=detail,
        machine=plain(last.machine),
        device=device_words(last.device, last.clock),
        stopped=window.stopped,
        late=window.late,
        models=tuple(plain(model.name) for model in last.models),
        fps=window.rate(sum(m.done for m in last.models), sum(m.done for m in before.models)),
        p99_ns=slowest.latency.p99_ns if slowest and told else None,
        slowest=plain(slowest.name) if slowest and told else "",
        lost_per_s=window.rate(
            sum(core.preemptions for core in last.cores),
            sum(core.preemptions for core in before.cores),
        ),
        running=last.queue.running,
        waiting=last.queue.waiting,
        utilisation=tuple(
            0.0 if window.stopped else core.utilisation_permille / 10 for core in last.cores
        ),
        utilisation_series=Series(
            tuple(frame.time_ns for frame in window.frames),
            tuple(_utilisation(frame) for frame in window.frames),
        ),
        ddr_bytes_per_s=ddr(last.cores, window)[0],
        cpu=last.system.cpu_permille / 10,
    )


def _utilisation(frame: TelemetryFrame) -> float:
    cores = frame.cores
    return sum(core.utilisation_permille for core in cores) / 10 / len(cores) if cores else 0.0
