"""What each bound is for: with it taken away the same inputs, made small, show their harm."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import yaml

from bpu_common import container
from bpu_common.container import budget, check_model
from bpu_common.errors import BpuError, ConfigError, ModelFormatError, ModelUnsupported
from bpu_common.network import check, check_tensor
from bpu_common.plain import plain_lines
from bpu_host.compiler.config.document import read_document
from bpu_host.compiler.frontend import onnx as frontend
from bpu_host.compiler.frontend.structure import MAX_NODES
from tests.hostile import bin_files, onnx_files, yaml_files
from tests.support.models_board import tiny_model


def test_yaml_aliases(tmp_path: Path) -> None:
    text = yaml_files.alias_bomb(levels=3, width=20)
    values = yaml.safe_load(text)["a2"]
    assert sum(len(row) for group in values.values() for row in group.values()) == 20**3
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match="aliases"):
        read_document(tmp_path / "a.yaml")


def test_yaml_merge_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[int] = []
    flatten = yaml.SafeLoader.flatten_mapping

    def counted(self: yaml.SafeLoader, node: yaml.MappingNode) -> None:
        flatten(self, node)
        merged.append(len(node.value))

    monkeypatch.setattr(yaml.SafeLoader, "flatten_mapping", counted)
    yaml.safe_load(yaml_files.merge_bomb(levels=4, width=8))
    assert max(merged) == 8**3


def test_functions_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(onnx_files.nested_functions(17), path)
    with pytest.raises(ModelUnsupported, match=f"has {1 << 17} nodes"):
        frontend.read_onnx(path)
    monkeypatch.setattr(frontend, "check_expansion", lambda *_: None)
    read = frontend.read_onnx(path)
    assert len(onnx.inliner.inline_local_functions(read.proto).graph.node) > MAX_NODES


def test_the_count_is_what_the_inliner_makes(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(onnx_files.nested_functions(12), path)
    read = frontend.read_onnx(path)
    assert len(onnx.inliner.inline_local_functions(read.proto).graph.node) == 1 << 12


def test_sections_that_models_share(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bin_files.amplified(30, 20)
    decoded, checked = [], []
    decode, check_one = container.sections.decode_program, check_model.check_program
    monkeypatch.setattr(
        container.sections, "decode_program", lambda raw: decoded.append(0) or decode(raw)
    )
    monkeypatch.setattr(check_model, "check_program", lambda *a: checked.append(0) or check_one(*a))
    assert len(container.loads(data)) == 30
    assert len(decoded) == 1  # once, however often it is referred to
    assert len(checked) == 30  # the work that the budget bounds
    monkeypatch.setattr(budget, "MAX_DESCRIPTION_BYTES", 5_000)
    with pytest.raises(ModelFormatError, match="each time counted that a model refers"):
        container.loads(data)
    with pytest.raises(ModelFormatError, match="each time counted that a model refers"):
        container.dump([tiny_model(f"m{index}") for index in range(20)])


def test_names_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bin_files.unchecked([bin_files.renamed(tiny_model(), "\x1b[2Jtiny")])
    with pytest.raises(ModelFormatError, match="control character") as caught:
        container.loads(data)
    assert "\x1b" not in str(caught.value)
    monkeypatch.setattr(check_tensor, "has_controls", lambda _: False)
    monkeypatch.setattr(check, "check_name", check_tensor.check_name)
    assert container.loads(data)[0].name == "\x1b[2Jtiny"


def test_messages_about_a_hostile_name_are_plain() -> None:
    error = BpuError("no model '\x1b[2J\u202e'", where="a\x07b", hint="it has \x9b1m")
    shown = plain_lines(str(error))
    assert shown == "a?b: no model '?[2J?'\n  hint: it has ?1m"
