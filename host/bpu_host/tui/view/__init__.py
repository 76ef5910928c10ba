"""`view`: frames -> screen, a pure function."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.device_kind import device_words
from bpu_common.machine import MACHINES
from bpu_common.plain import plain
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.scene import Gauges, Header, Series, Timeline, View
from bpu_host.tui.state import Link, UiState
from bpu_host.tui.text import uptime
from bpu_host.tui.view.events import event_lines
from bpu_host.tui.view.models import arranged, model_rows, selected_model
from bpu_host.tui.view.timeline import ddr, timeline
from bpu_host.tui.view.window import Window, clock, same_boot, wall_ns

__all__ = ["head_and_cores", "plain", "view"]


def view(frames: Sequence[TelemetryFrame], ui: UiState) -> View:
    """The screen that shows the last of `frames`, of which the others are the past.

    Args:
        frames: in order of arrival; those before a restart of the board give only log lines.
    """
    boot = same_boot(frames)
    header, cores = head_and_cores(frames, ui)
    if not boot:
        return View(header, (), cores, None, None, event_lines([], ui))
    window = Window.of(boot)
    all_rows = model_rows(window, tuple(load.request for load in ui.loads))
    rows = arranged(all_rows, ui.order, ui.wanted)
    return View(
        header=header,
        models=rows,
        timeline=cores,
        selected=selected_model(window, ui.selected, rows),
        gauges=_gauges(window),
        events=event_lines(frames, ui),
        order=ui.order,
        wanted=plain(ui.wanted),
        hidden=len(all_rows) - len(rows),
    )


def head_and_cores(frames: Sequence[TelemetryFrame], ui: UiState) -> tuple[Header, Timeline]:
    """The two parts of `view` that move with every frame."""
    boot = same_boot(frames)
    if not boot:
        return _header(None, ui), Timeline(0, ui.span_ns, ())
    window = Window.of(boot)
    models = window.last.models
    slots = {sample.name: slot for slot, sample in reversed(list(enumerate(models)))}
    return _header(window, ui), timeline(window, ui.span_ns, slots, ui.cursor)


def _header(window: Window | None, ui: UiState) -> Header:
    last = window.last if window else None
    return Header(
        label=plain(ui.label),
        machine=plain(last.machine) if last else "",
        device=device_words(last.device, last.clock) if last else "",
        stopped=window is not None and window.stopped,
        late=window is not None and window.late,
        link=ui.link,
        place=_place(last, ui),
        detail=plain(ui.detail),
        paused=ui.paused,
        behind_s=ui.behind_s,
        time=clock(wall_ns(last), ui.zone) if last else "",
        uptime_s=last.time_ns / 1e9 if last else 0.0,
        recording=plain(ui.recording),
        loads=len(ui.loads),
    )


def _place(last: TelemetryFrame | None, ui: UiState) -> str:
    """`0:00:12 of 0:01:40, x2`: position in a recording, its length, its speed."""
    replay = ui.replay
    if replay is None or last is None or not replay.last_ns:
        return ""
    at = uptime(max(0, wall_ns(last) - replay.first_ns) / 1e9)
    place = f"{at} of {uptime((replay.last_ns - replay.first_ns) / 1e9)}"
    if ui.link is Link.ENDED:
        return place
    return f"{place}, x{replay.speed:g}" if replay.speed else f"{place}, unpaced"


def _gauges(window: Window) -> Gauges:
    last, frames = window.last, window.frames
    spec = MACHINES.get(last.machine)
    bandwidth, stretch = ddr(last.cores, window)
    clock_hz = max((core.clock_hz for core in last.cores), default=0)
    return Gauges(
        cpu=last.system.cpu_permille / 10,
        cpu_count=last.system.cpu_count,
        cpu_series=Series(
            tuple(wall_ns(frame) for frame in frames),
            tuple(frame.system.cpu_permille / 10 for frame in frames),
        ),
        memory_used=last.system.memory_used_bytes,
        memory_total=last.system.memory_total_bytes,
        process_bytes=last.system.process_bytes,
        running=last.queue.running,
        running_limit=last.queue.running_limit,
        waiting=last.queue.waiting,
        alive_limit=last.queue.alive_limit,
        ddr_bytes_per_s=bandwidth,
        ddr_limit_bytes_per_s=spec.ddr_total_bytes_per_cycle * clock_hz if spec else 0.0,
        ddr_stretch=stretch,
        temperatures=tuple(
            (plain(name), value / 1000) for name, value in last.temperature_millicelsius.items()
        ),
    )
