"""`compile_model`: the only door of the compiler. A configuration in, products and tables out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from bpu_common import container
from bpu_common.errors import ModelUnsupported
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel, NodeInfo
from bpu_common.network import BPU_OPS, Network, Place
from bpu_common.provenance import Provenance
from bpu_common.tensor import ModelInput
from bpu_host.compiler import emit, export, passes, report, rules, units, verify
from bpu_host.compiler.calibrate import (
    Calibration,
    calibrate,
    open_samples,
    settle_sample_types,
    with_rounded_weights,
)
from bpu_host.compiler.calibrate.samples import FolderSamples, RandomSample, Sample
from bpu_host.compiler.causes import Cause, causes_by_operation, causes_of
from bpu_host.compiler.config.doubts import doubts
from bpu_host.compiler.config.model_inputs import fit_to_model
from bpu_host.compiler.config.values import AllCodes, CompileConfig, WeightRounding, resolve
from bpu_host.compiler.estimate import ModelEstimate, estimate
from bpu_host.compiler.events import Advanced, Note, OnEvent, StageDone, StageStarted, ignore
from bpu_host.compiler.findings import Finding, refuse
from bpu_host.compiler.frontend import FloatModel, prepare, read
from bpu_host.compiler.place import EmitOptions
from bpu_host.compiler.products import ProductNames, Products
from bpu_host.compiler.provenance import provenance
from bpu_host.compiler.quantize import OutputMetrics, Similarity, lower, similarity
from bpu_host.compiler.weights import Weights, bare_proto, serialized
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.hints import ENGINE, write_hints

logger = logging.getLogger(__name__)

_SHOWN_REASONS = 3
_MOST_SLOWER = 0.02
"""Of the predicted time, that `all_codes: auto` may cost."""


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """The result of a conversion.

    Attributes:
        files: the products, in the order they were made.
        nodes: the node table.
        outputs: distances of each model output on the first sample.
        verdicts: where each node of the optimized graph runs, and why.
        causes: what keeps nodes on the CPU.
        network: the quantized network.
        estimate: what a frame is predicted to cost.
        provenance: what it was made of.
        findings: warnings about the result, in the order they were found.
    """

    model: BpuModel
    files: tuple[Path, ...]
    nodes: tuple[NodeInfo, ...]
    outputs: dict[str, OutputMetrics]
    verdicts: dict[str, rules.Verdict]
    causes: tuple[Cause, ...]
    network: Network
    calibration: Calibration
    estimate: ModelEstimate
    provenance: Provenance
    findings: tuple[Finding, ...] = ()


def compile_model(
    config: CompileConfig,
    on_event: OnEvent = ignore,
    names: ProductNames | None = None,
    *,
    source: FloatModel | None = None,
    measure: bool = True,
    strict: bool = False,
) -> Compiled:
    """Convert a float model; all products appear together, or none.

    `source` is the configuration's model, if it was read already. Without any `cal_data_dir` one
    sample of noise calibrates it (what the checker does). Without `measure` the similarities stay
    unknown, which saves a run of both models. With `strict` a conversion with findings fails.

    Raises:
        BpuError: of the stage that failed; nothing is left behind.
    """
    names = names or ProductNames.of_prefix(config.prefix)
    job = _Job(config, on_event)
    with Products(config.working_dir, names.all()) as products:
        with job.stage(f"prepare the {config.model_type} model"):
            job.load(source or read(config))
            products.add(names.original_float, _serialize(job.model))
        with job.stage("optimize the model"):
            job.optimize()
            products.add(names.optimized_float, _serialize(job.model))
        with job.stage("calibrate the model"):
            samples = job.open_samples()
            job.check_original()
            calibration = job.calibrate(samples)
            products.add(names.calibrated, export.calibrated_model(job.model, calibration))
        with job.stage("quantize the model"):
            network = job.round_weights(job.quantize(calibration), samples, calibration)
            calibration = replace(calibration, kept=())
            plans = Plans.of(network)  # the constants of its float forms, searched once
            quantized = export.quantized_model(network, plans)
            products.add(names.quantized, quantized)
            near = job.similarity(network, quantized, calibration, measure=measure)
        with job.stage(f"compile the model with march {config.march}"):
            nodes = report.node_infos(network, _names(job.model), near.cosines)
            facts = provenance(job.config, job.source, calibration)
            model = job.emit(network, plans, nodes, facts)
            products.add(names.board, job.checked_file(model, quantized, near))
            cost = job.estimate(model)
        if strict:
            refuse(job.findings, "nothing was written")
        files = products.publish()
    return Compiled(
        model,
        files,
        nodes,
        near.outputs,
        job.placement.verdicts,
        causes_of(job.placement, network),
        network,
        calibration,
        cost,
        facts,
        tuple(job.findings),
    )


class _Job:
    """The state of one conversion between its stages."""

    source: FloatModel
    model: ir.Model
    original: tuple[onnx.ModelProto, Weights]
    sample: Sample
    inputs: tuple[ModelInput, ...]
    placement: rules.Placement

    def __init__(self, config: CompileConfig, on_event: OnEvent) -> None:
        self.config = config
        self.tell = on_event
        self.findings: list[Finding] = []
        self._check: verify.FileCheck | None = None
        self._spec = MACHINES[config.machine]

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        start_ns = time.monotonic_ns()
        self.tell(StageStarted(title))
        yield
        self.tell(StageDone(title, time.monotonic_ns() - start_ns))

    def note(self, sentence: str) -> None:
        self.tell(Note(sentence))

    def _advance(self, title: str) -> Callable[[int, int], None]:
        return lambda done, total: self.tell(Advanced(title, done, total))

    def load(self, source: FloatModel) -> None:
        """The float model with the board's input in front of it."""
        self.source, proto = source, source.proto
        self.findings += source.findings
        known = fit_to_model(self.config, source.dtypes, source.unread)
        self.config, doubtful = settle_sample_types(resolve(known, source.inputs), self.tell)
        self.findings += doubtful
        self.note("Input ONNX model information:")
        versions = ", ".join(f"{i.domain or 'ai.onnx'} {i.version}" for i in proto.opset_import)
        self.note(f"ONNX IR version:          {proto.ir_version}")
        self.note(f"Opset version:            {versions}")
        self.note(f"Producer:                 {proto.producer_name} {proto.producer_version}")
        model = prepare(
            proto,
            source.file,
            {item.name: item.shape for item in self.config.inputs},
            self.config.output_nodes,
            output_nodes_at=self.config.locations.get("model_parameters.output_nodes", ""),
            pictures=[item.name for item in self.config.inputs if item.rt_type.is_image],
            weights=source.weights,
        )
        self._leave_out_unread({value.name or "" for value in model.graph.inputs})
        for item in self.config.inputs:
            self.note(f"Input name:               {item.name}, {list(item.shape)}")
        self.model = passes.original_float(model, self.config.inputs)
        self.original = bare_proto(self.model)
        self.inputs = tuple(item.model_input() for item in self.config.inputs)
        for item in self.config.inputs:
            if item.rt_type.is_image:
                self.note(
                    f"Create a preprocessing operator for input {item.name}: "
                    f"{item.intermediate_type} to {item.train_type.value}, "
                    f"means={list(item.mean) or None}, scales={list(item.scale) or None}"
                )

    def _leave_out_unread(self, needed: Collection[str]) -> None:
        """The compiled model has only the inputs that its outputs depend on."""
        unread = [
            *self.source.unread,
            *(i.name for i in self.config.inputs if i.name not in needed),
        ]
        for name in unread:
            self.note(f"Input {name} is left out: no output depends on it")
        inputs = tuple(item for item in self.config.inputs if item.name in needed)
        self.config = replace(self.config, inputs=inputs)

    def optimize(self) -> None:
        """The optimization pipeline, then BPU or CPU for each node."""
        for record in passes.optimize(self.model):
            logger.debug(
                "pass %s: %d rewrites, %d nodes", record.name, record.rewrites, record.nodes_after
            )
        for value in self.model.graph.outputs:
            self.note(f"Output name:              {value.name}, {_dims(value)}")
        options = rules.PlacementOptions(
            self.config.run_on_cpu,
            self.config.run_on_bpu,
            self.config.locations.get("calibration_parameters.run_on_cpu", ""),
            self.config.locations.get("calibration_parameters.run_on_bpu", ""),
        )
        try:
            self.placement = rules.place(units.recognise(self.model, self.inputs), options)
        except ModelUnsupported as error:
            place = error.where or self.source.file
            raise ModelUnsupported(error.message, where=place, hint=error.hint) from error
        if (finding := rules.beyond_the_vendor(self.model)) is not None:
            self.findings.append(finding)

    def open_samples(self) -> FolderSamples | RandomSample:
        """The configured samples; the first one serves every comparison."""
        samples = open_samples(self.config, self.inputs)
        found = "is 1 sample" if len(samples) == 1 else f"are {len(samples)} samples"
        self.note(f"There {found} in the calibration data set.")
        self.sample = next(iter(samples))
        return samples

    def check_original(self) -> None:
        """The original float model against the file as it was given."""
        own = passes.own_inputs(self.config.inputs)
        original, weights = self.original
        self._check, findings = verify.check_original(
            self.source.proto, original, self.sample, own, (self.source.weights, weights)
        )
        self.findings += findings
        del self.original  # it has done its work, and holds all weights

    def similarity(
        self, network: Network, quantized: bytes, calibration: Calibration, *, measure: bool
    ) -> Similarity:
        """The quantized model against the file on the first sample; empty without `measure`.

        The optimized float model is held against the file on the way.
        """
        model, weights = bare_proto(self.model)
        if measure:
            own = self._check.outputs if self._check else {}
            near = similarity(self.model, quantized, self.sample, own, network)
        else:
            near = Similarity(floats=verify.run_floats(model, self.sample, weights=weights))
        if self._check:
            self._check.product(model, "optimized float model", near.floats, weights)
        method = self.config.calibration_method.value
        self.findings += verify.output_findings(near, network, method, calibration.spreads)
        return near

    def checked_file(self, model: BpuModel, quantized: bytes, near: Similarity) -> bytes:
        """The bytes of the `.bin`, which have run the first sample as on a board."""
        data = container.dump((model,))
        for sentence in verify.check_file(data, quantized, self.sample, near.codes):
            self.note(sentence)
        return data

    def calibrate(self, samples: FolderSamples | RandomSample) -> Calibration:
        """Thresholds from the configured samples."""
        method = self.config.calibration_method.value
        self.note(f"Run calibration model with {method} calibration method.")
        calibration = calibrate(
            self.placement,
            samples,
            method,
            self.config.max_percentile,
            self._advance("calibrate"),
            all_codes=self.config.all_codes is AllCodes.ON,
            affordable=self._affordable if self.config.all_codes is AllCodes.AUTO else None,
        )
        if method == "default":
            self.note(f"Select {calibration.method} method.")
        if calibration.all_codes:
            self.note("Tensors inside the BPU that are never negative have all 256 codes.")
        self.findings += (*doubts(self.config), *samples.findings(), *calibration.findings)
        return calibration

    def _affordable(self, before: Network, after: Network) -> bool:
        """Whether the programs of a network are hardly slower than those of another."""
        options = self._emit_options()
        cycles = [emit.bpu_cycles(network, self._spec, options) for network in (before, after)]
        return cycles[1] <= (1 + _MOST_SLOWER) * cycles[0]

    def _emit_options(self) -> EmitOptions:
        return EmitOptions(
            compile_mode=self.config.compile_mode,
            optimize_level=self.config.optimize_level,
            max_time_per_fc_us=self.config.max_time_per_fc_us,
            debug=self.config.debug,
        )

    def quantize(self, calibration: Calibration) -> Network:
        """The quantized network.

        Raises:
            ModelUnsupported: nothing of it runs on the BPU.
        """
        lowering = lower(
            self.placement, calibration, self.config.prefix, all_codes=calibration.all_codes
        )
        if any(item.cal_data_dir for item in self.config.inputs):  # noise leaves much at zero
            self.findings += lowering.findings()
        network, self.placement = lowering.network, lowering.placement
        own = (op for op in network.ops if not op.name.startswith(passes.PREPROCESS_PREFIX))
        if not any(isinstance(op, BPU_OPS) for op in own):
            raise ModelUnsupported(
                "no node of the model can be quantized for the BPU",
                where=self.source.file,
                hint=f"the model must hold at least one supported Conv; {self._some_reasons()}",
            )
        return network

    def round_weights(
        self, network: Network, samples: FolderSamples | RandomSample, calibration: Calibration
    ) -> Network:
        """The network with its weights rounded together, if it gains by it; noise shows nothing."""
        if self.config.weight_rounding is WeightRounding.NEAREST or isinstance(
            samples, RandomSample
        ):
            return network
        return with_rounded_weights(
            network, self.placement, samples, calibration.kept, self.tell, calibration.error
        )

    def _some_reasons(self) -> str:
        """Why the first nodes stay on the CPU."""
        found = [
            f"{name}: {verdict.reason}"
            for name, verdict in self.placement.verdicts.items()
            if verdict.on == "CPU" and verdict.reason
        ]
        more = f" (and {len(found) - _SHOWN_REASONS} more)" if len(found) > _SHOWN_REASONS else ""
        if self.config.prototxt and any(item.shape[0] > 1 for item in self.config.inputs):
            more += "; give input_shape (checker: --input-shape) a batch of 1"
        return "; ".join(found[:_SHOWN_REASONS]) + more

    def emit(
        self, network: Network, plans: Plans, nodes: tuple[NodeInfo, ...], facts: Provenance
    ) -> BpuModel:
        """Tiles, memory, function calls."""
        spec = self._spec
        self.note(f"Machine: {spec.name}, {spec.cores} cores at {spec.clock_hz / 1e6:g} MHz")
        for part in network.parts:
            if part.place is Place.BPU:
                self.note(f"Compile submodel: {part.name}")
        hints = {ENGINE: write_hints(network, plans)}
        return emit.build_model(network, spec, self._emit_options(), nodes, facts, hints)

    def estimate(self, model: BpuModel) -> ModelEstimate:
        """The predicted cost of a frame."""
        causes = causes_by_operation(self.placement, model.network)
        return estimate(model, self._spec, causes)


def _serialize(model: ir.Model) -> bytes:
    return serialized(*bare_proto(model))


def _dims(value: ir.Value) -> list[int | str]:
    return [size if isinstance(size, int) else "?" for size in value.shape or ()]


def _names(model: ir.Model) -> list[str]:
    """Names of the float nodes, in order."""
    return [node.name or "" for node in model.graph]
