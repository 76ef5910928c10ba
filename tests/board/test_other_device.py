"""The seam held against a second device, which opens files of its own and can tell little."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import openbpu
from bpu_board.agent.server import serve
from bpu_board.cli.hrt_model_exec import main, models
from bpu_board.device import Device, Inspects, Observes, Plans
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import ModelStore, Runtime
from bpu_common.errors import InputError, ModelFormatError, UsageError
from bpu_common.frame import FrameInput
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.wire.rpc.address import Address
from bpu_host.remote import Board
from bpu_host.tui.state import UiState
from bpu_host.tui.view import view
from tests.support.vendor_device import SHAPE, VendorDevice, vendor_file

X = np.arange(4, dtype=np.float32).reshape(SHAPE)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    device: Device = VendorDevice()
    store = ModelStore(tmp_path / "store", device.read)
    store.put(vendor_file(double=2, half=0.5))
    made = Runtime(device, store)
    yield made
    made.close()


def test_what_each_device_can_tell() -> None:
    for ability in (Plans, Observes, Inspects):
        assert isinstance(SimDevice(X3M), ability)
        assert not isinstance(VendorDevice(), ability)


def test_models_of_its_files_run(runtime: Runtime) -> None:
    assert [(entry.name, entry.loaded) for entry in runtime.list()] == [
        ("double", False),
        ("half", False),
    ]
    assert runtime.info("half").machine == "vendor"
    result = runtime.infer("half", {"x": X}, timeout_s=60)
    np.testing.assert_array_equal(result.outputs["y"], X / 2)
    assert result.submitted_ns <= result.started_ns <= result.done_ns
    with pytest.raises(InputError, match="no input 'z'"):
        runtime.infer("half", {"z": X})


def test_its_device_decides_what_a_model_file_is(runtime: Runtime) -> None:
    assert runtime.store is not None
    with pytest.raises(ModelFormatError, match="not a file of the vendor"):
        runtime.store.put(b"BPU")
    assert len(runtime.store.list()) == 1


def test_measuring_works_without_what_it_cannot_tell(runtime: Runtime) -> None:
    result = runtime.perf(PerfRequest("double", frame_count=300, thread_num=4))
    assert result.frame_count == 300
    assert result.core_busy_ns == ()
    assert result.profile is None


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda r: r.inspect("double", {"x": X}), "arrays between the parts"),
        (lambda r: r.perf(PerfRequest("double", exact=True)), "what the instructions"),
        (lambda r: r.perf(PerfRequest("double", profile=True)), "times of a model's nodes"),
    ],
)
def test_what_it_cannot_tell_is_said(runtime: Runtime, ask, what: str) -> None:
    with pytest.raises(UsageError, match=f"cannot tell .*{what}"):
        ask(runtime)


def test_telemetry_shows_the_models_and_no_cores(runtime: Runtime) -> None:
    runtime.infer("double", {"x": X})
    frame = runtime.telemetry()
    assert [(model.name, model.done) for model in frame.models] == [("double", 1)]
    assert frame.cores == ()
    assert frame.slices == ()
    seen = view([frame, runtime.telemetry()], UiState())
    assert [row.name for row in seen.models] == ["double"]


def test_an_agent_serves_it(runtime: Runtime) -> None:
    with tempfile.TemporaryDirectory(prefix="bpu") as folder:
        address = Address(path=f"{folder}/agent.sock")
        served = threading.Event()
        found: list[object] = []

        def client() -> None:
            assert served.wait(60)
            try:
                with Board.connect(f"unix:{address.path}") as board:
                    found.append(board.info().machine)
                    found.append(board.infer("double", X).outputs["y"].tolist())
                    request = PerfRequest("half", frame_count=10, inputs={"x": FrameInput(X)})
                    found.append(board.perf(request).frame_count)
                    (frame,) = board.telemetry(frame_count=1)
                    found.append(sorted((model.name, model.done) for model in frame.models))
                with openbpu.Board(f"unix:{address.path}") as board:
                    told = (board.infer("double", X), board.perf("double", frames=3))
                    found.extend((each.simulated, "(real chip)" in repr(each)) for each in told)
            finally:
                signal.raise_signal(signal.SIGTERM)

        thread = threading.Thread(target=client)
        thread.start()
        asyncio.run(serve(runtime, address, lambda _: served.set()))
        thread.join(60)
    models_done = [("double", 1), ("half", 10)]
    assert found == ["vendor", (X * 2).tolist(), 10, models_done, (False, True), (False, True)]


@pytest.fixture
def on_this_computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A computer with such a device, in a folder with a model and an input."""
    monkeypatch.setattr(models, "local_device", lambda _: VendorDevice())
    monkeypatch.chdir(tmp_path)
    Path("model.vendor").write_bytes(vendor_file(double=2))
    Path("x.bin").write_bytes(X.tobytes())
    return tmp_path


FILES = ["--model_file=model.vendor", "--input_file=x.bin"]


def test_hrt_model_exec_runs_its_files(on_this_computer: Path, capsys) -> None:
    assert main(["infer", *FILES, "--json", "--enable_dump=true", "--dump_format=bin"]) == 0
    assert json.loads(capsys.readouterr().out)["model_name"] == "double"
    written = np.fromfile("model_infer_output_0.bin", np.float32)
    np.testing.assert_array_equal(written, (X * 2).reshape(-1))
    assert main(["model_info", "--model_file=model.vendor"]) == 0
    assert "[model name]: double" in capsys.readouterr().out
    assert main(["perf", *FILES, "--frame_count=5"]) == 0


@pytest.mark.parametrize("option", ["--dump_intermediate=1", "--exact"])
def test_hrt_model_exec_says_what_it_cannot_tell(
    on_this_computer: Path,
    capsys,
    option: str,
) -> None:
    assert main(["infer", *FILES, option]) == 2
    assert "cannot tell the arrays between the parts" in capsys.readouterr().err
