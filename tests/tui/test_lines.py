"""The line format: round trip, limits, broken files."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bpu_common.errors import InputError, UsageError
from bpu_common.json_form import json_reader
from bpu_common.telemetry import CallSlice, LogLine, TelemetryFrame, lines
from bpu_common.telemetry.lines import (
    Recorder,
    frame_line,
    header_line,
    read_frames,
    recorded_span,
)
from bpu_host.tui.source import RecordingSource
from tests.support.frames_tui import DEMO, MS, frames, play

read_frame = json_reader(TelemetryFrame, {CallSlice: lines.SLICE_COLUMNS})


@pytest.fixture(scope="module")
def told() -> list[TelemetryFrame]:
    log = [LogLine(150 * MS, "warning", "a “name”\nwith \x1b signs")]
    return frames(play(DEMO, 2_050 * MS), 2_000 * MS, lines=log)


def record(path: Path, told: list[TelemetryFrame], **options) -> Path:
    recorder = Recorder(path, "test", **options)
    for frame in told:
        recorder.add(frame)
    recorder.close()
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_was_recorded_is_read(told: list[TelemetryFrame], tmp_path: Path, name: str) -> None:
    path = record(tmp_path / name, told)
    assert list(read_frames(path)) == told
    assert path.stat().st_mode & 0o777 == 0o600
    assert recorded_span(path) == (told[0], told[-1])


def test_every_frame_is_one_line(told: list[TelemetryFrame]) -> None:
    for frame in told:
        line = frame_line(frame)
        assert "\n" not in line
        assert read_frame(json.loads(line)) == frame


def test_a_recording_ends_at_its_limit(told: list[TelemetryFrame], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorder = Recorder(path, "test", limit_bytes=20_000)
    written = [recorder.add(frame) for frame in told]
    assert not written[-1]
    assert recorder.full
    assert path.stat().st_size <= 20_000
    assert list(read_frames(path)) == told[: sum(written)]


def test_a_cut_off_recording_is_read_as_far_as_it_goes(
    told: list[TelemetryFrame], tmp_path: Path
) -> None:
    whole = record(tmp_path / "a.jsonl", told).read_bytes()
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(whole[:-100])
    assert list(read_frames(cut)) == told[:-1]
    packed = record(tmp_path / "b.gz", told).read_bytes()
    cut.write_bytes(packed[: len(packed) // 2])
    found = list(read_frames(cut))
    assert found == told[: len(found)]


def test_unknown_keys_are_ignored_and_missing_ones_have_defaults(
    told: list[TelemetryFrame], tmp_path: Path
) -> None:
    value = json.loads(frame_line(told[-1]))
    value["future"] = [1]
    value["models"][0]["future"] = {"a": 1}
    del value["log"], value["models"][0]["pending"]
    found = read_frame(value)
    assert found.log == ()
    assert found.models[0].pending.count == 0
    head = json.loads(header_line("x"))
    head["slice_columns"].insert(0, "future")
    value["slices"] = [[0, *row] for row in value["slices"]]
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(head)}\n{json.dumps(value)}\n")
    assert next(read_frames(path)).slices == told[-1].slices


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        ("", "", "not a telemetry recording"),
        ("hello", "", "not a telemetry recording"),
        ("[1]", "", "not a telemetry recording"),
        ('{"format":"openbpu-telemetry","version":2}', "", "of version 2"),
        ('{"format":"openbpu-telemetry","version":1}', "", "no columns"),
        ('{"format":"openbpu-telemetry","version":1,"slice_columns":[{}]}', "", "no columns"),
        (header_line("x"), "[]\n", ":2: not a telemetry frame: [] is not an object"),
        (header_line("x"), "nonsense\n", ":2: not a telemetry frame"),
        (header_line("x"), "{}\n", "TelemetryFrame without sequence"),
        (header_line("x"), "[" * 100_000 + "\n", "nests too deeply"),
    ],
)
def test_broken_files(tmp_path: Path, head: str, body: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{head}\n{body}")
    with pytest.raises(InputError) as caught:
        list(read_frames(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sequence", "1"), ("time_ns", 1.5), ("models", {}), ("cores", [3]), ("slices", [[1]]),
     ("boot_id", None), ("queue", {}), ("sequence", True), ("temperature_millicelsius", {"a": ""})],
)  # fmt: skip
def test_values_of_another_type(
    told: list[TelemetryFrame], tmp_path: Path, key: str, value: object
) -> None:
    frame = json.loads(frame_line(told[0]))
    frame[key] = value if value != {} or key == "queue" else [{}]
    path = tmp_path / "a.jsonl"
    path.write_text(f"{header_line('x')}\n{json.dumps(frame)}\n")
    with pytest.raises(InputError, match="not a telemetry frame"):
        list(read_frames(path))


def test_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_CHARS", 1000)
    path = tmp_path / "a.jsonl"
    path.write_text(f"{header_line('x')}\n{'x' * 2000}\n")
    with pytest.raises(InputError, match="more than 1000"):
        list(read_frames(path))
    with gzip.open(tmp_path / "b.gz", "wt") as file:
        file.write("x" * 10_000)
    with pytest.raises(InputError, match="more than 1000"):
        list(read_frames(tmp_path / "b.gz"))


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        list(read_frames(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot write"):
        Recorder(tmp_path / "none" / "a.jsonl", "test")
    (tmp_path / "bytes").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError):
        list(read_frames(tmp_path / "bytes"))


def test_a_replay_keeps_the_pace(told: list[TelemetryFrame], tmp_path: Path) -> None:
    gap = replace(told[-1], time_ns=told[-1].time_ns + 3_600_000_000_000)
    path = record(tmp_path / "a.jsonl", [*told, gap])
    waits: list[float] = []
    source = RecordingSource(path, speed=2.0, sleep=waits.append)
    assert list(source.frames()) == [*told, gap]
    # no wait was carried out, so each is as long as all pauses up to then
    assert waits[-1] == pytest.approx(2.0 / 2 + 2.0, abs=0.2)
    assert waits == sorted(waits)
    assert list(RecordingSource(path, speed=0, sleep=waits.append).frames()) == [*told, gap]
    assert len(waits) == len(told)
    closed = RecordingSource(path)
    closed.close()
    assert list(closed.frames()) == []


def test_the_span_of_a_recording_that_was_cut_off(
    told: list[TelemetryFrame], tmp_path: Path
) -> None:
    path = record(tmp_path / "a.jsonl", told)
    path.write_text(path.read_text()[:-10])
    assert recorded_span(path) == (told[0], told[-2])
    path.write_text(header_line("test") + "\n")
    assert recorded_span(path) is None
    path.write_text(header_line("test") + "\n" + frame_line(told[0]) + "\nnonsense\n")
    with pytest.raises(InputError, match="telemetry frame"):
        recorded_span(path)
    source = RecordingSource(path, speed=0)  # says so only when its frames come to it
    given = source.frames()
    assert next(given) == told[0]
    assert source.replay is not None
    assert source.replay.last_ns == 0
