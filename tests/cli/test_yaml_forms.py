"""The files that people publish: each converts, or one run says all that is to be changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from bpu_common import container
from bpu_host.cli.hb_mapper import cli
from tests.support.nets_front import Net
from tests.support.yaml_forms import Form, forms

FORMS = list(forms())


def model(shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A convolution on the first 4-D input; the others come out as they are, doubled."""
    names = list(shapes)
    net = Net(shapes[names[0]], name=names[0])
    net.inputs = {name: list(shape) for name, shape in shapes.items()}
    conv = net.conv(names[0], (shapes[names[0]][1], 4), name="first")
    return net.model(conv, *(net.add("Add", name, name) for name in names[1:]))


def samples(form: Form) -> None:
    random = np.random.default_rng(0)
    folders = ["cal_f32"] if len(form.shapes) == 1 else [f"cal_{name}_f32" for name in form.shapes]
    for folder, shape in zip(folders, form.shapes.values(), strict=True):
        Path(folder).mkdir()
        for index in range(2):
            values = random.integers(0, 256, shape).astype(np.float32)
            values.tofile(f"{folder}/{index}.bin")
    Path("photos").mkdir()
    pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photos/a.png")


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form) -> None:
    monkeypatch.chdir(tmp_path)
    samples(form)
    onnx.save(model(form.shapes), "net.onnx")
    text = yaml.safe_dump(form.document(), sort_keys=False, allow_unicode=True)
    Path("net.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(cli, ["makertbin", "--model-type", "onnx", "-c", "net.yaml"])
    problems = done.output.partition(" ERROR ")[2]
    assert [key for key in form.refused if key not in problems] == [], done.output
    assert (done.exit_code == 0) == (not form.refused), done.output
    assert "fault of OpenBPU" not in done.output
    if not form.refused:
        (made,) = container.load(Path("model_output/net.bin"))
        assert len(made.inputs) == len(form.shapes)
    else:
        assert len([line for line in problems.splitlines() if "_parameters." in line]) <= len(
            form.refused
        )


def test_there_are_as_many_forms_as_were_published() -> None:
    assert len(FORMS) >= 24 + 33
    assert len({form.name for form in FORMS}) == len(FORMS)
