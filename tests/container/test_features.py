"""Features: derived from what a model holds, refused by name, before anything else is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bpu_common import container
from bpu_common.container.features import FEATURES, features_of
from bpu_common.container.layout import Section, pack, unpack
from bpu_common.errors import ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from tests.support.golden_models import GOLDEN, plain_model

ROOT = Path(__file__).parents[2]


def with_manifest(data: bytes, *added: str, tail: bytes = b"") -> bytes:
    """The file with more features in its manifest, and bytes behind that."""
    sections = list(unpack(memoryview(data)))
    manifest = pb.Manifest.FromString(bytes(sections[0].data))
    manifest.models[0].features.extend(added)
    content = manifest.SerializeToString(deterministic=True) + tail
    return pack([Section(SectionKind.MANIFEST, content), *sections[1:]])


def refused(data: bytes) -> ModelFormatError:
    with pytest.raises(ModelFormatError) as caught:
        container.loads(data)
    return caught.value


def test_a_plain_model_needs_none() -> None:
    assert features_of(plain_model()) == ()


@pytest.mark.parametrize("name", GOLDEN)
def test_each_feature_is_found_in_the_model_that_has_it(name: str) -> None:
    assert features_of(GOLDEN[name]()) == (name,)


def test_every_feature_has_a_model_and_a_place_in_the_documentation() -> None:
    assert set(GOLDEN) == set(FEATURES)
    page = (ROOT / "docs" / "bin-format.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in rows if name in FEATURES] == sorted(FEATURES)


def test_a_feature_of_a_newer_version_is_refused_by_its_name() -> None:
    """Also when the newer version added fields, which would be unknown ones."""
    data = container.dump([plain_model()])
    for tail in (b"", b"\x8a\x3e\x00"):
        error = refused(with_manifest(data, "warp", tail=tail))
        assert error.message == "needs the feature 'warp', which this version does not have"
        assert error.where == "model[0]"
        assert "convert it again" in error.hint
    error = refused(with_manifest(data, "warp", "weft"))
    assert "needs the features 'warp', 'weft'" in error.message
    assert "field 993" in refused(with_manifest(data, tail=b"\x8a\x3e\x00")).message


def test_a_section_of_a_newer_version_is_explained_by_its_feature() -> None:
    data = container.dump([plain_model()])
    sections = [*unpack(memoryview(with_manifest(data, "warp"))), Section(77, b"more")]
    assert "needs the feature 'warp'" in refused(pack(sections)).message
    error = refused(pack([*unpack(memoryview(data)), Section(77, b"more")]))
    assert error.message == "section kind 77 is not known"


def test_the_list_is_what_the_content_needs() -> None:
    plain = plain_model()
    with pytest.raises(ModelFormatError, match="are needed") as caught:
        container.dump([replace(plain, features=("roi",))])
    assert caught.value.where == "model[0].features"
    assert "are needed" in refused(with_manifest(container.dump([plain]), "addend")).message
    other = GOLDEN["addend"]()
    with pytest.raises(ModelFormatError, match="needed and not listed"):
        container.dump([replace(other, features=())])
