"""What `hrt_model_exec perf` prints and writes, through its real entry point."""

from __future__ import annotations

import json
import re
import signal

import pytest

from bpu_board.cli.hrt_model_exec import main
from bpu_common.engine import engine_line
from bpu_sim.kernels.choice import choose_engine
from tests.support.console_board import run, write
from tests.support.models_board import (
    slow_model,
)


def perf_numbers(capsys, *words: str) -> dict[str, float]:
    return json.loads(run(capsys, "perf", *words, "--json"))


def test_perf_block(folder, capsys):
    words = ("--model_file=m.bin", "--thread_num=2", "--frame_count=20")
    out = run(capsys, "perf", *words)
    n = perf_numbers(capsys, *words)
    assert out == (
        f"Frame count: 20,  Thread Average: {n['average_latency_ms']:.6f} ms, "
        f"thread max latency: {n['max_latency_ms']:.6f} ms, "
        f"thread min latency: {n['min_latency_ms']:.6f} ms\n"
        "\n"
        "Running condition:\n"
        "  Thread number is: 2\n"
        "  Frame count   is: 20\n"
        "  core number   is: 1\n"
        f"  Program run time: {n['run_time_ms']:.6f} ms\n"
        "Perf result:\n"
        f"  Frame totally latency is: {n['total_latency_ms']:.6f} ms\n"
        f"  Average    latency    is: {n['average_latency_ms']:.6f} ms\n"
        f"  Frame      rate       is: {n['fps']:.6f} FPS\n"
        "\n"
        f"Latency percentiles: p50 {n['p50_ms']:.6f} ms, p90 {n['p90_ms']:.6f} ms, "
        f"p99 {n['p99_ms']:.6f} ms\n"
        "Device: x3m (simulated, virtual clock: modelled times)\n"
        f"Engine: {engine_line(choose_engine().about)}\n"
    )
    assert (n["device"], n["clock"], n["stopped"]) == ("simulated", "virtual", False)
    assert n["fps"] == pytest.approx(20e3 / n["run_time_ms"])


def test_perf_defaults_and_reports(folder, capsys):
    out = run(capsys, "perf", "--model_file=m.bin")
    assert "  Thread number is: 1\n  Frame count   is: 200\n" in out
    assert out.count("Thread Average") == 1
    out = run(capsys, "perf", "--model_file=m.bin", "--frame_count=500")
    assert re.findall(r"^Frame count: (\d+),  ", out, re.MULTILINE) == ["200", "400", "500"]


def test_the_first_ctrl_c_ends_the_run_with_what_is_there(folder, capsys, monkeypatch):
    def interrupt(progress):
        if progress.frames_done == 400:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("bpu_board.cli.hrt_model_exec.perf._print_progress", interrupt)
    before = signal.getsignal(signal.SIGINT)
    words = ["perf", "--model_file=m.bin", "--frame_count=100000000", "--profile_path=p"]
    assert main(words) == 130
    shown = capsys.readouterr()
    done = int(re.search(r"Frame count   is: (\d+)", shown.out)[1])
    assert 400 <= done < 1_000_000
    assert "Frame      rate       is: " in shown.out
    assert f"stopped by the user after {done} frames\n" in shown.err
    assert list((folder / "p").iterdir()) == []  # a profile is that of a whole run
    assert signal.getsignal(signal.SIGINT) is before


def test_perf_thread_limit_core_and_priority(folder, capsys):
    write(folder / "slow.bin", slow_model())
    words = ("--model_file=slow.bin", "--frame_count=50")
    many = perf_numbers(capsys, *words, "--thread_num=50")
    assert many["thread_num"] == 8
    bound = perf_numbers(capsys, *words, "--thread_num=8", "--core_id=2")
    assert bound["core_busy_ms"][0] == 0
    assert bound["fps"] < many["fps"]
    assert perf_numbers(capsys, *words, "--priority=255")["frame_count"] == 50


def test_perf_machine(folder, capsys):
    words = ("--model_file=m.bin", "--frame_count=5")
    default, x3e = perf_numbers(capsys, *words), perf_numbers(capsys, *words, "--machine", "x3e")
    assert (default["machine"], x3e["machine"]) == ("x3m", "x3e")
    assert x3e["average_latency_ms"] > default["average_latency_ms"]


def test_perf_time_overrides_frame_count(folder, capsys, monkeypatch):
    monkeypatch.setattr("bpu_board.cli.hrt_model_exec.perf.MINUTE_NS", 50_000_000)
    words = ("--model_file=m.bin", "--perf_time=2", "--frame_count=1", "--thread_num=2")
    n = perf_numbers(capsys, *words)
    assert 100 <= n["run_time_ms"] < 100 + 2 * n["max_latency_ms"]
    assert n["frame_count"] > 1


def test_profile_path(folder, capsys):
    run(capsys, "perf", "--model_file=c.bin", "--frame_count=7", "--profile_path=deep/er")
    first, second = (folder / "deep/er/profiler.log").read_text().split("\n***\n")
    assert json.loads(first)["running_condition"]["frame_count"] == 7
    assert "BPU_classes_subgraph_0" in json.loads(second)["model_latency"]
    assert (folder / "deep/er/profiler.csv").read_text().startswith("section,name,")


def test_profile_path_by_variable(folder, capsys, monkeypatch):
    monkeypatch.setenv("HB_DNN_PROFILER_LOG_PATH", str(folder / "p"))
    run(capsys, "perf", "--model_file=c.bin", "--frame_count=2")
    assert (folder / "p" / "profiler.log").exists()


def test_perf_on_a_file(folder, capsys):
    out = run(capsys, "perf", "--model_file=m.bin", "--input_file=raw.bin", "--frame_count=2")
    assert "Perf result:" in out
