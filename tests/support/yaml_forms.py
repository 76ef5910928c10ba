"""Configurations in the forms that people publish for this chip and its relatives.

Written here after public files; each is one form, with an input of its kind behind it. What OpenBPU
does not carry out is named by the keys that the one run must name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Changes = dict[str, Any]
M, N, C, P = (f"{each}_parameters." for each in ("model", "input", "calibration", "compiler"))
IMAGENET: Changes = {
    N + "norm_type": "data_mean_and_scale",
    N + "mean_value": "123.675 116.28 103.53",
    N + "scale_value": "0.01712475 0.017507 0.01742919",
}
YOLO: Changes = {N + "norm_type": "data_scale", N + "scale_value": 0.003921568627451}
FEATUREMAP: Changes = {
    N + "input_type_rt": "featuremap",
    N + "input_type_train": "featuremap",
    N + "input_layout_rt": "NCHW",
    N + "norm_type": "no_preprocess",
}
INT16: Changes = {M + "node_info": {"/model.10/attn/Softmax": {"ON": "BPU", "InputType": "int16"}}}
REMOVE: Changes = {M + "remove_node_type": "Quantize;Dequantize;Transpose;Cast;Reshape"}
NCHW_RGB: Changes = {N + "input_type_rt": "rgb", N + "input_layout_rt": "NCHW"}
NO_METHOD: Changes = {C + "calibration_type": None}
TEMPLATE: Changes = {
    M + "log_level": "debug",
    N + "input_name": "data",
    N + "input_space_and_range": "regular",
    N + "input_batch": 1,
    C + "max_percentile": 1.0,
    P + "core_num": 1,
    P + "max_time_per_fc": 0,
    "custom_op": None,
}


@dataclass(frozen=True, slots=True)
class Form:
    """One file.

    Attributes:
        changes: `group.key` -> value over the common part; a None removes a key.
        shapes: inputs of the model behind it.
        refused: keys that the run must name, all of them; none: it converts.
    """

    name: str
    changes: Changes
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"data": (1, 3, 16, 16)})
    refused: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The file as nested mappings."""
        values: dict[str, Any] = {
            "model_parameters": {
                "onnx_model": "./net.onnx",
                "march": "bernoulli2",
                "layer_out_dump": False,
                "working_dir": "model_output",
                "output_model_file_prefix": "net",
            },
            "input_parameters": {
                "input_name": "",
                "input_type_rt": "nv12",
                "input_type_train": "rgb",
                "input_layout_train": "NCHW",
                "input_shape": "",
            },
            "calibration_parameters": {
                "cal_data_dir": "./cal_f32",
                "cal_data_type": "float32",
                "calibration_type": "default",
            },
            "compiler_parameters": {
                "compile_mode": "latency",
                "debug": False,
                "optimize_level": "O3",
            },
        }
        for path, value in self.changes.items():
            group, _, key = path.partition(".")
            if not key:
                values[group] = value
            elif value is None:
                values[group].pop(key, None)
            else:
                values.setdefault(group, {})[key] = value
        return values


def _refused(name: str, changes: Changes, *keys: str) -> Form:
    return Form(name, changes, refused=keys)


def forms() -> Iterator[Form]:
    """Every form: files of this chip, then those of the vendor's other chips."""
    yield from _zoo_of_this_chip()
    yield from _users_files()
    yield from _other_chips()


def _zoo_of_this_chip() -> Iterator[Form]:
    yield Form("classifier with ImageNet's norm", IMAGENET)
    yield Form("jobs 32", IMAGENET | {P + "jobs": 32})
    yield Form("jobs 16 and a core", IMAGENET | {P + "jobs": 16, P + "core_num": 1})
    yield Form("text detector", IMAGENET | {P + "optimize_level": "O2", N + "input_name": "data"})
    yield Form("text recognizer", FEATUREMAP)
    yield _refused(
        "debug mode and removed nodes",
        IMAGENET | REMOVE | {M + "debug_mode": "dump_calibration_data"},
        M + "remove_node_type",
    )
    yield _refused("removed nodes", IMAGENET | REMOVE, M + "remove_node_type")
    yield Form("detector without a method", YOLO | NO_METHOD)
    yield Form("segmentation without a method", YOLO | NO_METHOD | {P + "jobs": 16})
    yield Form(
        "mean beside data_scale, empty node_info, pictures",
        YOLO | {N + "mean_value": 0, M + "node_info": {}, C + "preprocess_on": True,
                C + "cal_data_dir": "./photos"},
    )  # fmt: skip
    yield Form(
        "pictures", YOLO | {M + "node_info": {}, C + "preprocess_on": True, P + "jobs": 16,
                            C + "cal_data_dir": "./photos"},
    )  # fmt: skip


def _users_files() -> Iterator[Form]:
    two_cores = {P + "core_num": 2}
    bgr = {N + "input_type_train": "bgr", N + "input_type_rt": "bgr", N + "input_layout_rt": "NHWC"}
    gray: Changes = {N + "input_type_train": "gray", N + "input_type_rt": "gray"}
    mono = {"data": (1, 1, 16, 16)}
    yield _refused("plates on two cores", YOLO | two_cores, P + "core_num")
    yield _refused("tracker on two cores", IMAGENET | bgr | two_cores, P + "core_num")
    crnn = gray | {
        N + "norm_type": "data_mean_and_scale",
        N + "mean_value": 127.5,
        N + "scale_value": 0.0078125,
    }
    yield Form("grey text on two cores", crnn | two_cores, mono, (P + "core_num",))
    yield Form("grey text", crnn | {P + "core_num": "1"}, mono)
    yield _refused("classifier on two cores", YOLO | NCHW_RGB | two_cores, P + "core_num")
    yield _refused("node_info of another chip", YOLO | INT16, M + "node_info")
    yield Form(
        "percentile as text",
        YOLO | {C + "calibration_type": "max", C + "max_percentile": "0.9999"},
    )
    yield Form("mean as a number", bgr | {N + "norm_type": "data_mean", N + "mean_value": 128.0})
    yield Form("semicolons at the end", IMAGENET | {N + "input_name": "data;",
               N + "input_type_rt": "NV12;", N + "norm_type": "data_mean_and_scale;"})  # fmt: skip
    yield Form("rgb fed as NCHW", YOLO | NCHW_RGB)
    yield Form("template, filled in", TEMPLATE | IMAGENET | {C + "calibration_type": "kl"})
    several = {"chunk": (1, 8, 4, 16), "att": (1, 2, 4, 8), "cnn": (1, 4, 8), "mask": (1, 8)}
    yield Form("speech encoder", _featuremaps(several), several)
    yield Form("speech decoder", FEATUREMAP | {N + "input_layout_rt": None}, {"h": (1, 8, 1, 16)})
    yield Form(
        "speaker", FEATUREMAP | {C + "calibration_type": "max", P + "input_source": {"data": "ddr"}}
    )
    generator = TEMPLATE | IMAGENET | {C + "run_on_bpu": {"OP_name": None}}
    yield _refused("template with a node of another model", generator, "run_on_bpu")
    blank = {
        M + "onnx_model": "",
        N + "input_type_train": "",
        N + "norm_type": "",
        C + "cal_data_dir": "",
    }
    yield _refused("template, blank", TEMPLATE | blank, *blank)
    whole = TEMPLATE | IMAGENET | {
        M + "caffe_model": "a.caffemodel",
        M + "prototxt": "a.prototxt",
        "custom_op": {"custom_op_method": "register", "op_register_files": "a.py"},
    }  # fmt: skip
    yield _refused(
        "template with Caffe and custom operators", whole, M + "caffe_model", M + "prototxt",
        "custom_op.custom_op_method", "custom_op.op_register_files",
    )  # fmt: skip


def _featuremaps(shapes: dict[str, tuple[int, ...]]) -> Changes:
    def many(value: str) -> str:
        return ";".join([value] * len(shapes))

    return {
        N + "input_name": ";".join(shapes),
        N + "input_type_rt": many("featuremap"),
        N + "input_type_train": many("featuremap"),
        N + "input_layout_train": many("NCHW"),
        N + "norm_type": many("no_preprocess"),
        N + "input_shape": ";".join("x".join(map(str, shape)) for shape in shapes.values()),
        C + "cal_data_dir": ";".join(f"./cal_{name}_f32" for name in shapes),
        C + "cal_data_type": many("float32"),
    }


def _other_chips() -> Iterator[Form]:
    """Files of the vendor's later chips, with the march of this one, and one as it stands."""
    int16 = {C + "optimization": "set_all_nodes_int16"}
    output = {C + "optimization": "set_Softmax_input_int8,set_Softmax_output_int8"}
    balance = {P + "compile_mode": "balance", P + "balance_factor": 50}
    for norm, base in (("yolo", YOLO), ("imagenet", IMAGENET)):
        for feed, change in (("nv12", {}), ("nchw", NCHW_RGB)):
            start = base | change
            yield Form(f"{norm} {feed}", start)
            yield Form(f"{norm} {feed} without a method", start | NO_METHOD)
            yield _refused(f"{norm} {feed} int16 nodes", start | INT16 | NO_METHOD, M + "node_info")
            yield _refused(f"{norm} {feed} all int16", start | int16, C + "optimization")
            yield _refused(
                f"{norm} {feed} everything", start | INT16 | REMOVE | output | NO_METHOD,
                M + "node_info", M + "remove_node_type", C + "optimization",
            )  # fmt: skip
            yield _refused(f"{norm} {feed} balance", start | balance, P + "compile_mode")
    yield _refused("featuremaps int16", FEATUREMAP | INT16 | int16, M + "node_info",
                   C + "optimization")  # fmt: skip
    yield _refused("data types", YOLO | {M + "set_node_data_type": "a:int16"},
                   M + "set_node_data_type")  # fmt: skip
    yield _refused("removed by name", YOLO | {M + "remove_node_name": "a;b"},
                   M + "remove_node_name")  # fmt: skip
    yield _refused("batches", YOLO | {N + "input_batch": 4}, N + "input_batch")
    yield _refused("quantized elsewhere", YOLO | {C + "calibration_type": "load"},
                   C + "calibration_type")  # fmt: skip
    yield Form("thresholds per channel off", YOLO | {C + "per_channel": "False", P + "advice": 1})
    yield Form("balance_factor beside latency", YOLO | {P + "balance_factor": 30})
    for march in ("bayes-e", "bayes", "nash-e"):
        yield _refused(f"march {march}", YOLO | {M + "march": march}, f"'{march}' is the archi")
