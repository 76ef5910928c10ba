"""Values that are valid in the vendor's chapter but that this release does not carry out.

Each is refused with its sentence, never ignored; default values pass. This table is the one place
to look, and the one place to shrink when a feature arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bpu_common.limits import LEAST_CALL_US


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that is refused.

    Attributes:
        key: `group.key` of the YAML.
        values: which values, for people.
        refuses: tells whether a checked value is one of them.
        sentence: what the user is told, after `group.key: `.
    """

    key: str
    values: str
    refuses: Callable[[Any], bool]  # a value the schema has accepted
    sentence: str


def _given(value: object) -> bool:  # a value the schema has accepted
    return bool(value)


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda value: value in names


def _above_one(value: object) -> bool:  # a value the schema has accepted
    return isinstance(value, list) and any(item > 1 for item in value)


TABLE: tuple[Refusal, ...] = (
    Refusal(
        "model_parameters.layer_out_dump",
        "True",
        _given,
        "keeping the outputs of all layers is not available yet; set it to False or name the "
        "layers you need in output_nodes",
    ),
    Refusal(
        "model_parameters.remove_node_type",
        "any",
        _given,
        "removing nodes at the ends of the model is not available yet; delete the key",
    ),
    Refusal(
        "model_parameters.remove_node_name",
        "any",
        _given,
        "removing nodes at the ends of the model is not available yet; delete the key",
    ),
    Refusal(
        "model_parameters.set_node_data_type",
        "any",
        _given,
        "node data types can be chosen only on chips after bernoulli2; delete the key",
    ),
    Refusal(
        "model_parameters.node_info",
        "any",
        _given,
        "node data types can be chosen only on chips after bernoulli2; use run_on_cpu or "
        "run_on_bpu for the placement",
    ),
    Refusal(
        "input_parameters.input_batch",
        "2 to 128",
        _above_one,
        "batches are not available yet; set it to 1 and submit several frames instead",
    ),
    Refusal(
        "calibration_parameters.calibration_type",
        "mix",
        _one_of("mix"),
        "'mix' is not available yet; use 'default', which tries max, max with percentile and kl",
    ),
    Refusal(
        "calibration_parameters.calibration_type",
        "load",
        _one_of("load"),
        "'load' needs a model with trained thresholds (QAT), which is not read yet; use "
        "'default', 'max' or 'kl'",
    ),
    Refusal(
        "calibration_parameters.calibration_type",
        "skip",
        _one_of("skip"),
        "'skip' (random data) is not available yet; `hb_mapper checker` converts without "
        "calibration data",
    ),
    Refusal(
        "calibration_parameters.per_channel",
        "True",
        _given,
        "thresholds per channel of a feature map are not available yet; set it to False",
    ),
    Refusal(
        "calibration_parameters.optimization",
        "any",
        _given,
        "the optimization switches of quantization are not available yet; delete the key",
    ),
    Refusal(
        "compiler_parameters.compile_mode",
        "balance",
        _one_of("balance"),
        "'balance' exists only on chips after bernoulli2; use 'latency' or 'bandwidth'",
    ),
    Refusal(
        "compiler_parameters.core_num",
        "2",
        lambda value: value == 2,
        "one frame on two cores is not available yet; set it to 1 (two frames run on two cores "
        "by themselves)",
    ),
    Refusal(
        "compiler_parameters.max_time_per_fc",
        f"1 to {LEAST_CALL_US - 1}",
        lambda value: 0 < value < LEAST_CALL_US,
        f"the unit is microseconds: 0 (no bound) or at least {LEAST_CALL_US}; older tables say "
        "milliseconds by mistake",
    ),
    Refusal(
        "compiler_parameters.input_source",
        "resizer",
        lambda value: isinstance(value, dict) and "resizer" in value.values(),
        "input from the resizer (ROI inference) is not available yet; use 'ddr' or 'pyramid'",
    ),
    Refusal(
        "custom_op.custom_op_method",
        "any",
        _given,
        "custom operators are not available yet; delete the group custom_op",
    ),
    Refusal(
        "custom_op.op_register_files",
        "any",
        _given,
        "custom operators are not available yet; delete the group custom_op",
    ),
    Refusal(
        "custom_op.custom_op_dir",
        "any",
        _given,
        "custom operators are not available yet; delete the group custom_op",
    ),
)
