"""What converts runs: CPU parts that onnxruntime's optimizers used to break, and faults by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpu_common import container
from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import CompilerBug, ModelUnsupported
from bpu_host.compiler.verify import check_file
from bpu_sim.engines.ort import part as part_module
from tests.support.convert_net import PREFIX, Converted, convert
from tests.support.nets_front import Net


def resize_between_convolutions(**attributes: Any) -> Net:
    net = Net([1, 3, 16, 16])
    x = net.conv("data", (3, 8), name="first")
    if "axes" in attributes:
        end = ["", "", net.constant(np.array([7, 9]))]
    else:
        end = ["", net.constant(np.array([1, 1, 0.5, 0.5]))]
    x = net.add("Resize", x, *end, name="cubic", **attributes)
    net.conv(x, (8, 4), name="last")
    return net


BREAKING: list[dict[str, Any]] = [
    {"mode": "cubic"},
    {"mode": "cubic", "axes": [2, 3]},
    {"mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
    {"mode": "nearest", "axes": [3, 2], "keep_aspect_ratio_policy": "not_smaller"},
]


@pytest.mark.parametrize("attributes", BREAKING)
def test_resizes_on_the_cpu_run(tmp_path: Path, attributes: dict[str, Any]) -> None:
    net = resize_between_convolutions(**attributes)
    done = convert(tmp_path, net.model(net.nodes[-1].output[0], opset=19))
    assert done.on["cubic"] == "CPU"
    assert done.sqnr_db() > 30


def test_a_part_that_cannot_be_opened_names_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_module, "UNSOUND_OPTIMIZERS", ())
    net = resize_between_convolutions(mode="cubic")
    with pytest.raises(ModelUnsupported, match="a board cannot run") as caught:
        convert(tmp_path, net.model(net.nodes[-1].output[0], opset=19))
    assert caught.value.where == "node cubic (Resize)"
    assert "output_nodes" in caught.value.hint
    assert not (tmp_path / "out" / f"{PREFIX}.bin").exists()


def test_a_part_that_may_not_be_opened_names_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that the board's list lacks, whatever the compiler thinks of it."""
    net = Net([1, 3, 8, 8])
    x = net.add("Erf", net.conv("data", (3, 4)), name="erf")
    proto = net.model(net.conv(x, (4, 4)))
    monkeypatch.setattr("bpu_sim.engines.onnx.check.CPU_OPERATORS", CPU_OPERATORS - {"Erf"})
    with pytest.raises(ModelUnsupported, match="'Erf' is not one that a board runs") as caught:
        convert(tmp_path, proto)
    assert caught.value.where == "node erf (Erf)"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    net = Net([1, 3, 8, 8])
    return convert(tmp_path_factory.mktemp("plain"), net.model(net.conv("data", (3, 4))))


def products(done: Converted) -> tuple[bytes, bytes]:
    folder = done.folder
    quantized = folder / f"{PREFIX}_quantized_model.onnx"
    return (folder / f"{PREFIX}.bin").read_bytes(), quantized.read_bytes()


def test_the_bytes_are_what_runs(plain: Converted, tmp_path: Path) -> None:
    """Another network under the same names gives other values, and that is seen."""
    data, quantized = products(plain)
    feeds = dict(plain.feeds)
    assert check_file(data, quantized, feeds, {}) == ()
    net = Net([1, 3, 8, 8], seed=1)
    other, _ = products(convert(tmp_path, net.model(net.conv("data", (3, 4)))))
    assert container.loads(other)[0].outputs[0].shape == plain.compiled.model.outputs[0].shape
    with pytest.raises(CompilerBug, match="of its spread"):
        check_file(other, quantized, feeds, {})
