"""`hrt_model_exec infer`: run a model on given inputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from bpu_board.cli.hrt_model_exec import dump
from bpu_board.cli.hrt_model_exec.inputs import read_inputs
from bpu_board.cli.hrt_model_exec.models import RELEASED, choose, load_models, open_runtime
from bpu_board.cli.hrt_model_exec.options import Options
from bpu_board.cli.hrt_model_exec.regions import with_regions
from bpu_board.device import PartValues, engine_of
from bpu_board.runtime import Runtime
from bpu_common.board import ModelInfo
from bpu_common.device_kind import device_line
from bpu_common.engine import engine_line
from bpu_common.errors import UsageError
from bpu_common.frame import Given
from bpu_common.perf import InferResult
from bpu_common.task import TaskControl

_RULE = "-" * 42
_BEST_CLASSES = 5


def run(options: Options) -> int:
    """Run the frame `frame_count` times; print the device time of each."""
    if not options.input_file:
        raise UsageError("infer needs --input_file", hint="one file per input of the model")
    if options.hybrid_dequantize_process and not options.enable_dump:
        raise UsageError("--hybrid_dequantize_process works only with --enable_dump=true")
    chosen = choose(load_models(options), options.model_name)
    model = chosen.info
    if options.enable_dump:
        dump.check_dump(model, options)
    say = _Printer(silent=options.json)
    runtime = open_runtime(options, chosen)
    say.line("get model handle success")
    say.line("get model input count success")
    arrays = read_inputs(model, options.input_file)
    inputs = with_regions(model, arrays, options)
    for each in model.inputs:
        say.line(f"file length: {arrays[each.tensor.name].nbytes}")
    say.line("read file success!")
    say.line("get model output count success")
    say.line("prepare output tensor success")
    segments = _inspect(runtime, model, inputs, options)
    control = TaskControl(core_id=options.core_id, priority=options.priority)
    results: list[InferResult] = []
    for _ in range(options.frame_count or 1):
        result = runtime.infer(model.name, inputs, control)
        results.append(result)
        say.line("infer success")
        say.line("task done")
        say.line(f"\n{_RULE}\nInfer time: {result.latency_ns / 1e6:.3f} ms\n{_RULE}")
    if options.enable_dump:
        dump.dump_frame(model, arrays, results[-1], options)
    if options.dump_intermediate:
        dump.dump_segments(segments, options)
    classes = _classes(model, results[-1]) if options.enable_cls_post_process else ()
    for index, score in classes:
        say.line(f"class result: [id]{index}, [score]{score:.4f}")
    compared = sum(segment.compared for segment in segments)
    if options.exact:
        say.line(f"exact: {compared} values of the fast path equal the instructions'")
    device = runtime.device.capabilities
    engine = engine_of(runtime.device)
    say.line(f"Device: {device_line(device.machine, device.device, device.clock)}")
    say.line(f"Engine: {engine_line(engine)}")
    say.line(RELEASED)
    if options.json:
        report = _report(model, results, classes, compared if options.exact else None)
        report |= {
            "machine": device.machine, "device": device.device.value, "clock": device.clock.value,
            "engine": asdict(engine),
        }  # fmt: skip
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    runtime.close()
    return 0


class _Printer:
    def __init__(self, silent: bool) -> None:
        self._silent = silent

    def line(self, text: str) -> None:
        if not self._silent:
            sys.stdout.write(text + "\n")


def _inspect(
    runtime: Runtime, model: ModelInfo, inputs: Given, options: Options
) -> Sequence[PartValues]:
    if not (options.exact or options.dump_intermediate):
        return ()
    return runtime.inspect(model.name, inputs, exact=options.exact)


def _classes(model: ModelInfo, result: InferResult) -> tuple[tuple[int, float], ...]:
    """The best classes of a classification model and their scores, best first.

    Raises:
        UsageError: the model has not the one output of a classifier.
    """
    spec = model.outputs[0]
    array = result.outputs[spec.name]
    if len(model.outputs) != 1 or array.size < 2 or max(array.shape) != array.size:
        raise UsageError(
            f"model {model.name} is not a classifier: it has {len(model.outputs)} output(s), the "
            f"first of shape {spec.shape}",
            hint="leave out --enable_cls_post_process",
        )
    scores = dump.dequantize(array, spec).reshape(-1)
    best = np.argsort(-scores, kind="stable")[:_BEST_CLASSES]
    return tuple((int(index), float(scores[index])) for index in best)


def _report(
    model: ModelInfo,
    results: Sequence[InferResult],
    classes: Sequence[tuple[int, float]],
    compared: int | None,
) -> dict[str, object]:
    report: dict[str, object] = {
        "model_name": model.name,
        "frame_count": len(results),
        "infer_time_ms": [result.latency_ns / 1e6 for result in results],
        "outputs": [
            {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype.value}
            for spec in model.outputs
        ],
    }
    if classes:
        report["classes"] = [{"id": index, "score": score} for index, score in classes]
    if compared is not None:
        report["exact_values_equal"] = compared
    return report
