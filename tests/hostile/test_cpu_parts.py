"""Float operators that crash, take all memory, never end or lie about what they give.

Each model keeps every rule of the format. With its defence it costs one frame one error; the tests
whose names begin with `without` show what the same model does when the defence is switched off.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.errors import (
    BpuError,
    Cancelled,
    CapacityError,
    DeadlineExceeded,
    DeviceFault,
    ModelFormatError,
)
from bpu_common.machine import X3M
from bpu_common.stop import Stop
from bpu_common.tensor import DType
from bpu_sim.engines import OrtEngine
from bpu_sim.engines.contained import session, worker
from bpu_sim.engines.engine import PartsEngine
from tests.support.agent_remote import wait_until
from tests.support.hostile_cpu import (
    LEAST,
    cpu_model,
    declaring_model,
    dividing_model,
    endless_model,
    folded_model,
    large_model,
    looping_op,
)
from tests.support.models_board import HEIGHT, WIDTH, feature_model, install, tiny_model
from tests.support.nets_engines import cpu_network, float_spec, mixed_cpu_network, onnx_op

ZEROS = {"data": np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)}
SIGFPE = -8
MANY = np.array([1 << 12], np.int64)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(SimDevice(X3M, threads=1))
    install(made, tiny_model())
    yield made
    assert made.infer("tiny", ZEROS).outputs  # whatever happened to others
    made.close()


def divided(engine: Runtime, a: int, b: int) -> int:
    given = {"a": np.array([a], np.int32), "b": np.array([b], np.int32)}
    return int(engine.infer("dividing", given).outputs["y"][0])


def test_a_division_that_traps_costs_one_frame(runtime):
    install(runtime, dividing_model())
    assert divided(runtime, 7, 2) == 3
    with pytest.raises(DeviceFault, match="SIGFPE: an integer division without a result"):
        divided(runtime, LEAST, -1)
    assert divided(runtime, 9, 2) == 4


def test_a_division_that_traps_while_a_graph_is_opened_is_an_error(runtime):
    with pytest.raises(DeviceFault, match="SIGFPE"):
        install(runtime, folded_model())


@pytest.mark.parametrize("made", ["dividing_model", "folded_model"])
def test_without_containment_a_division_ends_the_process(made, tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import numpy as np
from bpu_sim.engines import OrtEngine
from tests.support import hostile_cpu
model = hostile_cpu.{made}()
engine = OrtEngine(model.network)
given = {{"a": np.array([hostile_cpu.LEAST], np.int32), "b": np.array([-1], np.int32)}}
engine.run({{item.tensor.name: given[item.tensor.name] for item in model.inputs}})
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert ended.returncode == SIGFPE


def test_a_run_ends_at_its_deadline(runtime):
    install(runtime, endless_model())
    assert runtime.infer("endless", {"n": np.array([3], np.int64)}).outputs["y"] == 0
    with pytest.raises(DeadlineExceeded):
        runtime.infer("endless", {"n": MANY}, timeout_s=0.5)
    assert runtime.infer("endless", {"n": np.array([2], np.int64)}).outputs["y"] == 0


def test_a_run_ends_when_its_frame_is_cancelled(runtime):
    install(runtime, endless_model())
    frame = runtime.submit("endless", {"n": MANY})
    assert runtime.device.wait(lambda: frame.done)
    thread = threading.Timer(0.5, frame.cancel)
    thread.start()
    with pytest.raises(Cancelled):
        frame.result()
    thread.join()


def test_a_run_without_a_deadline_has_a_limit_of_its_own(runtime, monkeypatch):
    monkeypatch.setattr(session, "RUN_CPU_S", 1)
    install(runtime, endless_model())
    with pytest.raises(CapacityError, match="of CPU time"):
        runtime.infer("endless", {"n": MANY})


def test_without_limits_a_run_goes_on(monkeypatch):
    monkeypatch.setattr(session, "RUN_CPU_S", 1 << 20)
    engine = OrtEngine(endless_model().network, contained=True)
    stop = Stop()
    ended = threading.Event()

    def run() -> None:
        with pytest.raises(Cancelled):
            engine.run({"n": MANY}, stop=stop)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not ended.wait(4)  # longer than the limit of the test above
    stop.now()
    thread.join()
    assert ended.is_set()


def test_memory_is_limited(runtime):
    with pytest.raises(CapacityError, match="more memory than it may have"):
        install(runtime, large_model(3 << 28))


def test_without_the_limit_a_run_takes_what_it_wants(monkeypatch):
    monkeypatch.setattr(session, "MEMORY_BYTES", 8 << 30)
    engine = OrtEngine(large_model(1 << 28).network, contained=True)
    assert engine.run({"x": np.ones((1, 1), np.float32)})["y"] > 0
    [peak_kb] = [
        int(line.split()[1])
        for line in Path(f"/proc/{process_of(engine)}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    assert peak_kb > 2 << 18  # two tensors of 256 MB


def process_of(engine: PartsEngine) -> int:
    """The id of the worker of a network of one CPU part."""
    [part] = engine._runners.values()
    process = part._steps[0]._session._worker._process
    return process._popen.pid


@pytest.mark.parametrize(
    ("dtype", "shape"), [(DType.INT32, (1, 4)), (DType.FLOAT32, (1, 8)), (DType.FLOAT32, (4,))]
)
def test_what_a_model_declares_is_checked_when_it_is_opened(dtype, shape):
    with pytest.raises(ModelFormatError):
        SimDevice(X3M, threads=1).load(declaring_model(dtype, shape))


@pytest.mark.parametrize("op_type", ["Loop", "If", "Scan"])
def test_graphs_inside_nodes_are_refused(op_type):
    op = replace(looping_op("y", ["x"]), op_type=op_type)
    op = replace(op, node=op.node.replace(b"\x22\x04Loop", named(op_type)))
    model = cpu_model("loop", cpu_network([op], [float_spec(n, (1,)) for n in "xy"]))
    with pytest.raises(ModelFormatError, match=f"{op_type}' is not one that a board runs"):
        SimDevice(X3M, threads=1).load(model)


def named(op_type: str) -> bytes:
    """The field `op_type` of a serialized NodeProto."""
    return bytes([0x22, len(op_type)]) + op_type.encode()


def test_the_bits_are_those_of_this_process():
    network = mixed_cpu_network()
    frame = {"f": np.random.default_rng(0).normal(0, 1, (1, 3, 6, 4)).astype(np.float32)}
    names = [output.tensor for output in network.outputs]
    own, contained = OrtEngine(network), OrtEngine(network, contained=True)
    for keep in ([], ["p", "m"]):
        wanted, got = own.run(frame, keep), contained.run(frame, keep)
        for name in (*names, *keep):
            np.testing.assert_array_equal(got[name], wanted[name])


def test_threads_share_a_worker():
    network = dividing_model().network
    engine = OrtEngine(network, contained=True)
    wrong: list[int] = []

    def run(first: int) -> None:
        for a in range(first, first + 40):
            given = {"a": np.array([a], np.int32), "b": np.array([3], np.int32)}
            if engine.run(given)["y"][0] != a // 3:
                wrong.append(a)

    threads = [threading.Thread(target=run, args=(i * 1000,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_idle_workers_are_few_and_come_back(monkeypatch):
    monkeypatch.setattr(worker, "MAX_IDLE", 1)
    engines = [OrtEngine(dividing_model().network, contained=True) for _ in range(2)]
    given = {"a": np.array([8], np.int32), "b": np.array([2], np.int32)}
    for engine in engines * 2:
        assert engine.run(given)["y"] == 4
    first, second = engines
    assert first._runners["net_cpu_0"]._steps[0]._session._worker._process is None
    assert Path(f"/proc/{process_of(second)}").exists()


def test_a_worker_ends_with_its_engine_and_starts_again_after_its_end():
    engine = OrtEngine(dividing_model().network, contained=True)
    given = {"a": np.array([8], np.int32), "b": np.array([2], np.int32)}
    number = process_of(engine)
    subprocess.run(["kill", "-9", str(number)], check=True)
    wait_until(lambda: not running(number))
    assert engine.run(given)["y"] == 4
    number = process_of(engine)
    del engine
    gc.collect()
    assert not running(number)


def running(number: int) -> bool:
    """The process exists, and is more than an exit status that nobody has taken."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_model_without_float_operators_has_no_worker(runtime, monkeypatch):
    monkeypatch.setattr(worker, "_started", None)
    assert runtime.device.load(tiny_model("other"))
    assert runtime.device.load(feature_model())  # its softmax is an operation of ours


def test_files_are_closed_to_a_worker():
    """What a graph could make onnxruntime open or write fails."""
    engine = OrtEngine(dividing_model().network, contained=True)
    limits = Path(f"/proc/{process_of(engine)}/limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max file size"] == ["0", "0"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max open files"] == ["1024", "1024"]


def test_frames_of_one_model_are_computed_a_few_at_a_time(runtime):
    install(runtime, dividing_model())
    numbers = runtime.device._loaded(runtime._sessions.get("dividing").handle).numbers
    held = 0
    while numbers._places.acquire(blocking=False):
        held += 1
    with pytest.raises(DeadlineExceeded):
        numbers.outputs({}, Stop(0.1))
    for _ in range(held):
        numbers._places.release()


def test_errors_of_the_worker_are_errors():
    ops = [onnx_op("Gather", ["x", "i"], ["y"])]
    specs = [float_spec("x", (2,)), float_spec("i", (1,), DType.INT64), float_spec("y", (1,))]
    engine = OrtEngine(cpu_network(ops, specs), contained=True)
    x = np.array([1, 2], np.float32)
    assert engine.run({"x": x, "i": np.array([1])})["y"] == 2
    with pytest.raises(BpuError, match="cannot be computed with these values"):
        engine.run({"x": x, "i": np.array([7])})
    assert engine.run({"x": x, "i": np.array([0])})["y"] == 1


def test_memory_that_is_shared_is_limited(monkeypatch):
    size_bytes = 3 * 4096
    monkeypatch.setattr(worker, "MAX_SHARED_BYTES", size_bytes)
    made = worker.Worker(1)
    assert made.take(4097) == (0, 1)
    assert made.take(1) == (2 * 4096, 2)
    with pytest.raises(CapacityError, match=f"at most {size_bytes} bytes"):
        made.take(1)
    monkeypatch.setattr(session, "MAX_EDGE_BYTES", 11)
    with pytest.raises(CapacityError, match="12 bytes, at most 11"):
        OrtEngine(dividing_model().network, contained=True)


def test_a_model_may_have_many_cpu_parts():
    """They share one process and one memory, and lie behind each other in it."""
    network = dividing_model().network
    engine = OrtEngine(network, contained=True)
    [part] = engine._runners.values()
    [step] = part._steps
    others = [step._make(("y",), Stop()) for _ in range(40)]
    given = {"a": np.array([8], np.int32), "b": np.array([2], np.int32)}
    assert [other.run(given)["y"][0] for other in others] == [4] * 40
    assert {other._worker for other in others} == {step._session._worker}
