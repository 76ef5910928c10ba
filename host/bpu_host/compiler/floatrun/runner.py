"""A float model that is ready to be run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from bpu_common.errors import CompilerBug
from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun.cut import PythonOps, PythonStage, SessionStage, cut
from bpu_host.compiler.weights import Weights, array_of, is_outside
from bpu_sim.engines.onnx import UNSOUND_OPTIMIZERS
from bpu_sim.engines.onnx.session import SILENT, explain


class FloatRunFailed(CompilerBug):
    """A graph, or a Python function in it, that cannot be run with these inputs."""


class FloatRunner:
    """One model, run as often as needed, by several threads at once if its Python functions allow.

    Its sessions are made at the first run.

    Args:
        model: nobody changes it meanwhile.
        keep: tensors that are wanted besides the outputs, inputs allowed.
        python_ops: operators that are Python functions; the model is cut at their nodes.
        threads: that work on one run; 0: one for each core.
        optimize: whether onnxruntime may rewrite the graph.
        limit_bytes: of wanted tensors that one session gives; the model is cut where it gives more.
        weights: constants that the model refers to.
        once: it is run one time only: each session is closed, with its copies of the weights, when
            it has run.

    Raises:
        ModelUnsupported: a Python operator where none can be.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        keep: Sequence[str] = (),
        *,
        python_ops: PythonOps | None = None,
        threads: int = 0,
        optimize: bool = True,
        limit_bytes: int | None = None,
        weights: Weights = (),
        once: bool = False,
    ) -> None:
        self._once = once
        outputs = (value.name for value in model.graph.output)
        self._wanted = tuple(dict.fromkeys((*outputs, *keep)))
        self._constants = {
            item.name: array_of(item, weights)
            for item in model.graph.initializer
            if item.name in self._wanted
        }

        def session(stage: SessionStage) -> _Session:
            options = ort.SessionOptions()
            options.enable_cpu_mem_arena = False  # memory goes back after each run
            options.intra_op_num_threads = threads
            options.log_severity_level = SILENT
            options.add_session_config_entry("session.disable_quant_qdq", "1")
            if not optimize:
                options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            return _Session(stage, options, weights)

        self._stages = [
            stage if isinstance(stage, PythonStage) else session(stage)
            for stage in cut(model, keep, python_ops or {}, limit_bytes, weights)
        ]
        self._last_reads = {
            name: position for position, stage in enumerate(self._stages) for name in stage.inputs
        }

    def run(self, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """The model's outputs in order, then what is kept; by name.

        Raises:
            FloatRunFailed: says what refuses the inputs, and why.
        """
        found: dict[str, AnyArray] = {}
        for some in self.steps(feeds):
            found |= some
        return {name: found[name] for name in self._wanted}

    def steps(self, feeds: Mapping[str, AnyArray]) -> Iterator[dict[str, AnyArray]]:
        """The same, stage by stage; what no later stage reads is not held any longer.

        Raises:
            FloatRunFailed: says what refuses the inputs, and why.
        """
        values = {**self._constants, **feeds}
        yield self._chosen(values)
        for position, stage in enumerate(self._stages):
            made = _call(stage, values) if isinstance(stage, PythonStage) else stage.run(values)
            if self._once and isinstance(stage, _Session):
                stage.close()
            values = {
                name: array
                for name, array in (values | made).items()
                if self._last_reads.get(name, -1) > position
            }
            some = self._chosen(made)
            del made
            yield some
            del some

    def _chosen(self, values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        return {name: array for name, array in values.items() if name in self._wanted}


class _Session:
    """A stage that onnxruntime runs, on the CPU."""

    def __init__(self, stage: SessionStage, options: ort.SessionOptions, weights: Weights) -> None:
        self._model = stage.model
        self._options = options
        outside = [item for item in stage.model.graph.initializer if is_outside(item)]
        # Held here, as onnxruntime reads them where they are.
        self._weights = [ort.OrtValue.ortvalue_from_numpy(array_of(i, weights)) for i in outside]
        if outside:
            names = [item.name for item in outside]
            options.add_external_initializers(names, self._weights)
        self.inputs, self._gives = stage.reads, stage.gives
        self._session: ort.InferenceSession | None = None
        self._lock = threading.Lock()

    def run(self, values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        inputs = {name: values[name] for name in self.inputs if name in values}
        try:
            outputs: list[AnyArray] = self._opened(inputs).run(self._gives, inputs)
        except Exception as error:  # onnxruntime's exceptions have no common class of their own
            sentence, node = explain(error)
            raise FloatRunFailed(sentence, where=node) from error
        return dict(zip(self._gives, outputs, strict=True))

    def close(self) -> None:
        """Let the session go; it cannot be run again."""
        self._session = None

    def _opened(self, inputs: Mapping[str, AnyArray]) -> ort.InferenceSession:
        with self._lock:
            if self._session is None:
                self._session = self._open(self._model, inputs)
                self._model = onnx.ModelProto()  # the session has read it
            return self._session

    def _open(self, model: onnx.ModelProto, inputs: Mapping[str, AnyArray]) -> ort.InferenceSession:
        """Inputs that come from Python get the types they have."""
        known = {value.name for value in model.graph.input}
        model.graph.input.extend(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
            for name, array in inputs.items()
            if name not in known
        )
        return ort.InferenceSession(
            model.SerializeToString(),
            self._options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(UNSOUND_OPTIMIZERS),
        )


def _call(stage: PythonStage, values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    known = {**values, **stage.constants}
    place = f"node {stage.name}"
    inputs = [known[name] if name else None for name in stage.inputs]
    try:
        outputs = [np.asarray(item) for item in stage.op(inputs, stage.attributes)]
    except Exception as error:  # the user's own code raises what it likes
        raise FloatRunFailed(f"its Python function fails: {_line(error)}", where=place) from error
    if len(outputs) != len(stage.outputs):
        raise FloatRunFailed(
            f"its Python function gives {len(outputs)} outputs, the node has {len(stage.outputs)}",
            where=place,
        )
    return {name: array for name, array in zip(stage.outputs, outputs, strict=True) if name}


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
