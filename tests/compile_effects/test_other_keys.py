"""Keys that choose the chip, the source of the input, what runs where, and what is noted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bpu_common.errors import ConfigError
from bpu_common.tensor import InputSource
from bpu_host.compiler.config import load_config
from tests.compile_effects.conftest import PICTURE, Convert, Effect
from tests.support.yaml_front import write


def test_slower_chips_take_longer(convert: Convert) -> None:
    """The cores are the same; the clocks are not."""
    made = {name: convert("residual", machine=name) for name in ("x3m", "j3", "x3e")}
    assert made["x3m"].duration_ns < made["j3"].duration_ns < made["x3e"].duration_ns
    for name, effect in made.items():
        assert effect.model.machine == name


def test_debug_notes_figures_and_changes_no_work(convert: Convert) -> None:
    plain, noted = convert("residual"), convert("residual", debug=True)
    assert (noted.cycles, noted.ddr_bytes) == (plain.cycles, plain.ddr_bytes)
    more = set(noted.model.parameters) - set(plain.model.parameters)
    assert more
    assert all(str(noted.cycles) in noted.model.parameters[key] for key in more)


def test_two_cores_for_one_frame_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"compiler_parameters.core_num": 2})
    with pytest.raises(ConfigError, match="core_num"):
        load_config(path)


@pytest.mark.parametrize("source", [InputSource.DDR, InputSource.PYRAMID])
def test_input_source_is_written_into_the_model(convert: Convert, source: InputSource) -> None:
    (given,) = convert("chain", inputs=(replace(PICTURE, source=source),)).model.inputs
    assert given.source is source


def test_run_on_cpu_moves_work_from_the_bpu(convert: Convert) -> None:
    plain, moved = convert("residual"), convert("residual", run_on_cpu=("conv4",))
    assert _on_cpu(moved) > _on_cpu(plain)
    assert len(moved.model.network.parts) > len(plain.model.network.parts)


def test_run_on_bpu_moves_work_to_it(convert: Convert) -> None:
    plain, moved = convert("tail"), convert("tail", run_on_bpu=("last",))
    assert _on_cpu(moved) < _on_cpu(plain)


def test_output_nodes_leave_out_what_follows(convert: Convert) -> None:
    whole, cut = convert("residual"), convert("residual", output_nodes=("conv2",))
    assert len(cut.model.nodes) < len(whole.model.nodes)
    assert cut.cycles < whole.cycles
    assert cut.size_bytes < whole.size_bytes


def test_a_percentile_lowers_thresholds(convert: Convert) -> None:
    whole, part = convert("residual"), convert("residual", max_percentile=0.95)
    before, after = ({n.name: n.threshold for n in e.model.nodes} for e in (whole, part))
    known = [name for name in before if before[name] == before[name]]
    assert all(after[name] <= before[name] for name in known)
    assert any(after[name] < before[name] for name in known)


def _on_cpu(effect: Effect) -> int:
    """Operators of the float model that run on the CPU."""
    return sum(
        node.on == "CPU" and not node.op_type.startswith("Hz") for node in effect.model.nodes
    )
