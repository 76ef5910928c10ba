"""The values behind a configuration that is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bpu_common.tensor import DType, InputSource, InputType, Layout
from bpu_host.compiler.config.conditions import InputRow
from bpu_host.compiler.config.form import Groups
from bpu_host.compiler.config.report import Report
from bpu_host.compiler.config.sources import DEFAULT_SOURCE
from bpu_host.compiler.config.values import (
    AllCodes,
    CalibrationMethod,
    CompileConfig,
    InputConfig,
    WeightRounding,
)


def outline(groups: Groups, rows: tuple[InputRow, ...], report: Report) -> CompileConfig:
    """What the model itself is compared with; the rest of the file may still be wrong."""
    model = groups.model
    sources = groups.compiler.input_source or {}
    return CompileConfig(
        model_path=Path(model.onnx_model or model.caffe_model or "").expanduser(),
        prototxt=Path(model.prototxt).expanduser() if model.prototxt else None,
        prefix=model.output_model_file_prefix,
        working_dir=Path(model.working_dir).expanduser(),
        inputs=tuple(map(_input, rows)),
        source_names=tuple(name for name in sources if name != DEFAULT_SOURCE),
        locations=report.document.locations,
        file=report.document.file,
    )


def build(groups: Groups, rows: tuple[InputRow, ...], report: Report) -> CompileConfig:
    """What the rest of the compiler reads, from groups and inputs without problems."""
    model, calibration, compiler = groups.model, groups.calibration, groups.compiler
    return replace(
        outline(groups, rows, report),
        march=model.march,
        log_level=model.log_level,
        output_nodes=tuple(model.output_nodes or ()),
        calibration_method=CalibrationMethod(calibration.calibration_type),
        max_percentile=calibration.max_percentile,
        all_codes=AllCodes(calibration.all_codes),
        weight_rounding=WeightRounding(calibration.weight_rounding),
        preprocess_on=calibration.preprocess_on,
        run_on_cpu=tuple(calibration.run_on_cpu or ()),
        run_on_bpu=tuple(calibration.run_on_bpu or ()),
        compile_mode=compiler.compile_mode,
        debug=compiler.debug,
        machine=compiler.machine,
        optimize_level=compiler.optimize_level,
        max_time_per_fc_us=compiler.max_time_per_fc,
        notes=tuple(report.notes),
    )


def _input(row: InputRow) -> InputConfig:
    return InputConfig(
        name=row.name,
        shape=row.shape,
        train_type=InputType(row.train_type),
        train_layout=Layout(row.train_layout),
        rt_type=InputType(row.rt_type),
        rt_layout=Layout(row.rt_layout),
        video_range=row.video_range,
        mean=row.mean,
        scale=row.scale,
        source=InputSource(row.source),
        cal_data_dir=Path(row.cal_data_dir).expanduser() if row.cal_data_dir else None,
        cal_data_type=DType(row.cal_data_type),
        dtype_by_suffix=row.dtype_by_suffix,
    )
