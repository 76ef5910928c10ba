"""The runtime on the simulated chip: numbers, times, limits, deadlines, cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from bpu_board.devices.binary import read_models
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import ModelStore, Runtime
from bpu_common import container
from bpu_common.errors import (
    Cancelled,
    CapacityError,
    DeadlineExceeded,
    InputError,
    ModelFormatError,
    ModelNotFound,
    UsageError,
)
from bpu_common.machine import X3M
from bpu_common.model import BpuModel
from bpu_common.network import OnnxOp
from bpu_common.task import TaskControl
from bpu_common.tensor import InputType
from bpu_sim.device import PacedClock
from bpu_sim.engines import PartsEngine
from tests.support.models_board import (
    HEIGHT,
    WIDTH,
    expected_codes,
    image_input,
    install,
    slow_model,
    tiny_model,
)


@pytest.fixture
def runtime():
    made = Runtime(SimDevice(X3M))
    install(made, tiny_model(), tiny_model("classes", classify=True), slow_model())
    yield made
    made.close()


def picture(seed: int = 0, shape=(1, HEIGHT, WIDTH, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("kind", [InputType.RGB, InputType.NV12, InputType.YUV444])
def test_outputs_are_those_of_the_network(kind):
    runtime = Runtime(SimDevice(X3M))
    install(runtime, tiny_model("net", kind, seed=3))
    source = image_input(kind)
    raw = picture(1, source.caller_shape)
    result = runtime.infer("net", {"data": raw})
    np.testing.assert_array_equal(result.outputs["codes"], expected_codes(raw, source, 3))
    parts = runtime.inspect("net", {"data": raw}, exact=True)
    assert [part.compared for part in parts] == [HEIGHT * WIDTH * 8]


def test_cpu_part_runs_behind_the_bpu(runtime):
    raw = picture()
    result = runtime.infer("classes", {"data": raw})
    codes = expected_codes(raw, image_input()).astype(np.float64)
    mean = (codes * (0.001 * np.arange(1, 9))).mean(axis=(0, 1, 2))
    wanted = np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()
    np.testing.assert_allclose(result.outputs["prob"], wanted[None], rtol=1e-4)


def test_times_are_consistent_and_repeat(runtime):
    first = runtime.infer("tiny", {"data": picture()})
    second = runtime.infer("tiny", {"data": picture()})
    assert first.latency_ns == second.latency_ns > 0
    assert first.submitted_ns <= first.started_ns <= first.done_ns <= second.submitted_ns
    assert first.pending_ns + first.running_ns == first.latency_ns


def test_numbers_are_computed_once_per_input(runtime, monkeypatch):
    calls = []
    original = PartsEngine.run
    monkeypatch.setattr(PartsEngine, "run", lambda self, *a: calls.append(1) or original(self, *a))
    for seed in (0, 0, 1, 0, 1):
        runtime.infer("tiny", {"data": picture(seed)})
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "'data' of model tiny is not given"),
        ({"data": picture(), "more": picture()}, "has no input 'more'"),
        ({"data": picture().astype(np.float32)}, "is float32"),
        ({"data": picture()[:, :-1]}, "\\(336 bytes\\)"),
        ({"data": picture(0, (1, WIDTH, HEIGHT, 3))}, "has shape"),
    ],
)
def test_inputs_that_do_not_fit(runtime, inputs, message):
    with pytest.raises(InputError, match=message):
        runtime.infer("tiny", inputs)


def test_flat_bytes_and_views_are_accepted(runtime):
    raw = picture()
    wanted = runtime.infer("tiny", {"data": raw}).outputs["codes"]
    flat = runtime.infer("tiny", {"data": raw.reshape(-1)}).outputs["codes"]
    strided = np.empty((1, HEIGHT, WIDTH, 6), np.uint8)
    strided[..., ::2] = raw
    view = runtime.infer("tiny", {"data": strided[..., ::2]}).outputs["codes"]
    np.testing.assert_array_equal(wanted, flat)
    np.testing.assert_array_equal(wanted, view)


def test_unknown_model_core_and_priority(runtime):
    with pytest.raises(ModelNotFound, match="no model 'other'"):
        runtime.infer("other", {})
    for control in (TaskControl(core_id=3), TaskControl(core_id=-1), TaskControl(priority=256)):
        with pytest.raises(UsageError):
            runtime.infer("tiny", {"data": picture()}, control)


def test_thirty_two_alive_then_back_pressure(runtime):
    pending = [runtime.submit("slow", {"data": picture()}) for _ in range(32)]
    with pytest.raises(CapacityError, match="TASK_NUM_EXCEED_LIMIT"):
        runtime.submit("slow", {"data": picture()})
    frame = runtime.telemetry()
    assert (frame.queue.running, frame.queue.waiting) == (8, 24)
    results = [each.result() for each in pending]
    assert len({result.done_ns for result in results}) > 1
    sample = next(m for m in runtime.telemetry().models if m.name == "slow")
    assert (sample.submitted, sample.done, sample.refused, sample.alive) == (32, 32, 1, 0)


def test_priority_overtakes_what_waits(runtime):
    low = [runtime.submit("slow", {"data": picture()}) for _ in range(16)]
    high = runtime.submit("slow", {"data": picture()}, TaskControl(priority=9))
    done = high.result().done_ns
    assert sum(each.result().done_ns > done for each in low) >= 7


def test_custom_id_orders_equal_priorities(runtime):
    blockers = [runtime.submit("slow", {"data": picture()}) for _ in range(8)]
    waiting = [
        runtime.submit("slow", {"data": picture()}, TaskControl(custom_id=custom, core_id=1))
        for custom in (3, 1, 2)
    ]
    done = [each.result().done_ns for each in waiting]
    assert done[1] < done[2] < done[0]
    for each in blockers:
        each.result()


def test_deadline_before_start_is_dropped_and_counted(runtime):
    blockers = [runtime.submit("slow", {"data": picture()}) for _ in range(8)]
    now = runtime.device.now_ns()
    late = runtime.submit("tiny", {"data": picture()}, TaskControl(deadline_ns=now + 10))
    with pytest.raises(DeadlineExceeded, match="before it was started"):
        late.result()
    for each in blockers:
        each.result()
    sample = next(m for m in runtime.telemetry().models if m.name == "tiny")
    assert (sample.expired, sample.done) == (1, 0)


def test_late_frame_is_returned_and_counted(runtime):
    now = runtime.device.now_ns()
    alone = runtime.infer("slow", {"data": picture()}).latency_ns
    now = runtime.device.now_ns()
    result = runtime.infer("slow", {"data": picture()}, TaskControl(deadline_ns=now + alone // 2))
    assert result.late
    assert next(m for m in runtime.telemetry().models if m.name == "slow").late == 1


def test_cancel_waiting_and_running(runtime):
    pending = [runtime.submit("slow", {"data": picture()}) for _ in range(10)]
    pending[9].cancel()
    with pytest.raises(Cancelled):
        pending[9].result()
    pending[0].cancel()
    with pytest.raises(Cancelled):
        pending[0].result()
    results = [each.result() for each in pending[1:9]]
    assert len(results) == 8
    pending[1].cancel()  # too late, harmless
    sample = next(m for m in runtime.telemetry().models if m.name == "slow")
    assert (sample.cancelled, sample.done, sample.alive) == (2, 8, 0)


class _HandingOver(SimDevice):
    """Calls `arrived` when the device has a task and the runtime does not know its number yet."""

    arrived: Callable[[], None] | None = None

    def submit(self, *given, **more):
        task = super().submit(*given, **more)
        if self.arrived is not None:
            self.arrived()
        return task


def test_cancel_while_a_task_is_handed_to_the_device():
    """The last frame waits for the end of one before it, and is taken back in its start."""
    device = _HandingOver(X3M)
    runtime = Runtime(device)
    install(runtime, slow_model())
    pending = [runtime.submit("slow", {"data": picture()}) for _ in range(9)]
    device.arrived = pending[8].cancel
    assert len([each.result() for each in pending[:8]]) == 8
    with pytest.raises(Cancelled):
        pending[8].result()
    sample = next(m for m in runtime.telemetry().models if m.name == "slow")
    assert (sample.cancelled, sample.done, sample.alive) == (1, 8, 0)
    runtime.close()


def test_many_threads_share_one_runtime(runtime):
    wanted = {seed: expected_codes(picture(seed), image_input()) for seed in range(3)}
    errors = []

    def work(seed):
        try:
            for _ in range(15):
                result = runtime.infer("tiny", {"data": picture(seed)}, timeout_s=60)
                np.testing.assert_array_equal(result.outputs["codes"], wanted[seed])
                runtime.telemetry()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index % 3,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    sample = next(m for m in runtime.telemetry().models if m.name == "tiny")
    assert (sample.done, sample.alive) == (90, 0)


def cpu_model(node: bytes) -> BpuModel:
    """A model whose operator between dequantizing and softmax is given as ONNX bytes."""
    model = tiny_model("classes", classify=True)
    bpu, cpu = model.network.parts
    first, pool, *others = cpu.ops
    cpu = replace(cpu, ops=(first, replace(pool, node=node), *others))
    return replace(model, network=replace(model.network, parts=(bpu, cpu)))


def test_operators_of_a_file_are_checked_before_they_run():
    pool = tiny_model("classes", classify=True).network.parts[1].ops[1]
    assert isinstance(pool, OnnxOp)
    forbidden = onnx.NodeProto.FromString(pool.node)
    forbidden.op_type = "Loop"
    external = onnx.NodeProto.FromString(pool.node)
    attribute = external.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(onnx.numpy_helper.from_array(np.zeros(3, np.float32)))
    attribute.t.ClearField("raw_data")
    attribute.t.data_location = onnx.TensorProto.EXTERNAL
    attribute.t.external_data.add(key="location", value="/etc/passwd")
    renamed = onnx.NodeProto.FromString(pool.node)
    renamed.output[0] = "other"
    nodes = [each.SerializeToString() for each in (forbidden, external, renamed)]
    for node in (*nodes, pool.node[:-5]):
        runtime = Runtime(SimDevice(X3M))
        with pytest.raises(ModelFormatError):
            install(runtime, cpu_model(node))
        assert runtime.list() == ()


def test_install_twice_and_unload(runtime):
    with pytest.raises(UsageError, match="loaded already"):
        install(runtime, tiny_model())
    busy = runtime.submit("slow", {"data": picture()})
    with pytest.raises(UsageError, match="MODEL_IS_RUNNING"):
        runtime.unload("slow")
    busy.result()
    runtime.unload("slow")
    with pytest.raises(ModelNotFound):
        runtime.info("slow")
    with pytest.raises(ModelNotFound):
        runtime.unload("slow")


def test_store_models_are_loaded_on_first_use(tmp_path):
    store = ModelStore(tmp_path, read_models)
    runtime = Runtime(SimDevice(X3M), store)
    stored = store.put(container.dump([tiny_model("a"), tiny_model("b", seed=5)]))
    assert [(e.name, e.loaded) for e in runtime.list()] == [("a", False), ("b", False)]
    assert runtime.info("b").name == "b"  # for which nothing is loaded
    assert not any(entry.loaded for entry in runtime.list())
    by_digest = runtime.infer(f"{stored.digest}/b", {"data": picture()})
    np.testing.assert_array_equal(
        by_digest.outputs["codes"], expected_codes(picture(), image_input(), 5)
    )
    assert [(e.name, e.loaded) for e in runtime.list()] == [("a", False), ("b", True)]
    with pytest.raises(UsageError, match="holds 2 models"):
        runtime.info(stored.digest)
    assert [model.name for model in runtime.load(stored.digest)] == ["a", "b"]
    runtime.unload("a")
    assert [(e.name, e.loaded) for e in runtime.list()] == [("a", False), ("b", True)]
    runtime.remove("b")
    assert runtime.list() == ()
    with pytest.raises(ModelNotFound):
        runtime.infer("a", {"data": picture()})


def test_replaced_file_is_seen_under_the_same_name(tmp_path):
    store = ModelStore(tmp_path, read_models)
    runtime = Runtime(SimDevice(X3M), store)
    first = store.put(container.dump([tiny_model(seed=1)]))
    one = runtime.infer("tiny", {"data": picture()}).outputs["codes"]
    store.remove(first.digest)
    store.put(container.dump([tiny_model(seed=2)]))
    two = runtime.infer("tiny", {"data": picture()}).outputs["codes"]
    assert not np.array_equal(one, two)


def test_paced_device_lets_wall_time_pass():
    runtime = Runtime(SimDevice(X3M, PacedClock()))
    install(runtime, tiny_model())
    started = time.monotonic_ns()
    result = runtime.infer("tiny", {"data": picture()}, timeout_s=60)
    assert time.monotonic_ns() - started >= result.latency_ns
    np.testing.assert_array_equal(result.outputs["codes"], expected_codes(picture(), image_input()))
    runtime.close()


def test_timeout_on_a_paced_device_cancels():
    runtime = Runtime(SimDevice(X3M, PacedClock(speed=1e-4)))
    install(runtime, slow_model())
    with pytest.raises(DeadlineExceeded, match=r"no result within 0\.05 s"):
        runtime.infer("slow", {"data": picture()}, timeout_s=0.05)
    runtime.close()
